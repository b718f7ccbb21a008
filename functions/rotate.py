"""POST rotate: make a new version of a key, then move its users."""

from __future__ import annotations

import azure.functions as func

from functions.answers import grant
from shared.usecases.forms import RotateWish
from shared.usecases.wishes import rotate_item

blueprint = func.Blueprint()


@blueprint.route(route="rotate", methods=["POST"])
async def rotate(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with what was put on the queue, or 200 with the plan of a dry run."""
    return await grant(req, RotateWish, rotate_item)
