"""POST revert: let a resource go back to the platform's key."""

from __future__ import annotations

import azure.functions as func

from functions.answers import grant
from shared.usecases.forms import RevertWish
from shared.usecases.wishes import revert_item

blueprint = func.Blueprint()


@blueprint.route(route="revert", methods=["POST"])
async def revert(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with what was put on the queue, or 200 with the plan of a dry run."""
    return await grant(req, RevertWish, revert_item)
