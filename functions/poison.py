"""The poison queue: what failed as often as the host allows is reported, never lost in silence."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import app
from shared.domain.work import POISON_QUEUE
from shared.usecases.handle import report_poison

blueprint = func.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=POISON_QUEUE, connection="AzureWebJobsStorage")
async def poison(message: func.QueueMessage) -> None:
    """Report the message."""
    await report_poison(app().context, message.get_body().decode(errors="replace"))
