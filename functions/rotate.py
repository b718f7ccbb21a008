"""POST rotate: make a new version of a key, then move its users."""

from __future__ import annotations

import azure.functions as func

from functions.answers import answer, cause_of, problem
from shared.bootstrap import app
from shared.errors import AppError
from shared.usecases.wishes import RotateWish, put_or_plan, read_wish, rotate_item

blueprint = func.Blueprint()


@blueprint.route(route="rotate", methods=["POST"])
async def rotate(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with what was put on the queue, or 200 with the plan of a dry run."""
    running = app()
    try:
        wish = read_wish(req.get_body(), RotateWish)
        item = rotate_item(wish, cause_of(req, running), running.context.ports.clock.now())
        return answer(await put_or_plan(running.context, item, dry_run=wish.dry_run), 200 if wish.dry_run else 202)
    except AppError as error:
        return problem(error)
