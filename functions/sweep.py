"""The timer: looks at everything once in a while, for what no event told."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import app
from shared.domain.work import Cause, Source, Sweep
from shared.usecases.sweeping import SLICES

blueprint = func.Blueprint()


@blueprint.timer_trigger(arg_name="timer", schedule="0 17 */6 * * *", run_on_startup=False, use_monitor=True)
async def sweep(timer: func.TimerRequest) -> None:
    """Put one sweep item, every six hours and not on the hour, when everybody else does."""
    del timer
    running = app()
    now = running.context.ports.clock.now()
    item = Sweep(Cause(running.new_id(), Source.TIMER), now, slice=now.hour * SLICES // 24)
    await running.context.ports.queue.put(item)
