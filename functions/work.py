"""The work queue: one message, one small piece of work."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import app
from shared.domain.work import WORK_QUEUE
from shared.usecases.handle import handle

blueprint = func.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=WORK_QUEUE, connection="AzureWebJobsStorage")
async def work(message: func.QueueMessage) -> None:
    """Do what the message asks for. An error here is a bug or a dead neighbour; the host tries again, then poison."""
    await handle(app().context, message.get_body().decode())
