"""GET health: whether the app can do its work, and what is in the way."""

from __future__ import annotations

import azure.functions as func

from functions.answers import answer
from shared.bootstrap import app
from shared.usecases.health import health as look

blueprint = func.Blueprint()


@blueprint.route(route="health", methods=["GET"])
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 200 when nothing is wrong, 503 with every problem otherwise."""
    del req
    running = app()
    found = await look(running.context, running.checkup, running.problems, running.journals.failures)
    return answer(found, 200 if found.healthy else 503)
