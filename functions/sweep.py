"""The timer: looks at everything once in a while, for what no event told."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import app
from shared.domain.work import Cause, Source, Sweep

blueprint = func.Blueprint()


@blueprint.timer_trigger(arg_name="timer", schedule="0 17 */6 * * *", run_on_startup=False, use_monitor=True)
async def sweep(timer: func.TimerRequest) -> None:
    """Put one sweep item, every six hours and not on the hour, when everybody else does."""
    del timer
    running = app()
    item = Sweep(Cause(running.new_id(), Source.TIMER), running.context.ports.clock.now())
    await running.context.ports.queue.put(item)
