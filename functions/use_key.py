"""POST use-key: let a resource use another key of yours, follow it, or stay pinned."""

from __future__ import annotations

import azure.functions as func

from functions.answers import grant
from shared.usecases.forms import UseKeyWish
from shared.usecases.wishes import use_key_item

blueprint = func.Blueprint()


@blueprint.route(route="use-key", methods=["POST"])
async def use_key(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with what was put on the queue, or 200 with the plan of a dry run."""
    return await grant(req, UseKeyWish, use_key_item)
