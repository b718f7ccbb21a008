"""POST replay: recorded events, in either schema, as if Event Grid had just delivered them."""

from __future__ import annotations

import azure.functions as func

from functions.answers import answer, problem, switch_of
from shared.bootstrap import app
from shared.domain.work import Source
from shared.errors import AppError
from shared.usecases.intake import replay as take

blueprint = func.Blueprint()


@blueprint.route(route="replay", methods=["POST"])
async def replay(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with what each event led to; `?dryRun=true` puts nothing on the queue and answers 200."""
    running = app()
    try:
        dry_run = switch_of(dict(req.params), "dryRun")
        taken = await take(running.context, req.get_body(), Source.REPLAY, running.new_id, dry_run=dry_run)
    except AppError as error:
        return problem(error)
    return answer(taken, 200 if dry_run else 202)
