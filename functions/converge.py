"""POST converge: look at a key's users, a vault's, one resource or everything, and move what is behind."""

from __future__ import annotations

import azure.functions as func

from functions.answers import answer, cause_of, problem
from shared.bootstrap import app
from shared.errors import AppError
from shared.usecases.wishes import ConvergeWish, converge_item, put_or_plan, read_wish

blueprint = func.Blueprint()


@blueprint.route(route="converge", methods=["POST"])
async def converge(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with what was put on the queue, or 200 with the plan of a dry run."""
    running = app()
    try:
        wish = read_wish(req.get_body(), ConvergeWish)
        item = converge_item(wish, cause_of(req, running), running.context.ports.clock.now())
        return answer(await put_or_plan(running.context, item, dry_run=wish.dry_run), 200 if wish.dry_run else 202)
    except AppError as error:
        return problem(error)
