"""POST converge: look at a key's users, a vault's, one resource or everything, and move what is behind."""

from __future__ import annotations

import azure.functions as func

from functions.answers import grant
from shared.usecases.forms import ConvergeWish
from shared.usecases.wishes import converge_item

blueprint = func.Blueprint()


@blueprint.route(route="converge", methods=["POST"])
async def converge(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with what was put on the queue, or 200 with the plan of a dry run."""
    return await grant(req, ConvergeWish, converge_item)
