"""POST enforce: bring one resource, or everything, to what the policy says, resources without a key of yours too."""

from __future__ import annotations

import azure.functions as func

from functions.answers import grant
from shared.usecases.forms import EnforceWish
from shared.usecases.wishes import enforce_item

blueprint = func.Blueprint()


@blueprint.route(route="enforce", methods=["POST"])
async def enforce(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with what was put on the queue, or 200 with the plan of a dry run."""
    return await grant(req, EnforceWish, enforce_item)
