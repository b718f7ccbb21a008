"""POST revoke: take away what lets a resource's identity use its keys."""

from __future__ import annotations

import azure.functions as func

from functions.answers import grant
from shared.usecases.forms import RevokeWish
from shared.usecases.wishes import revoke_item

blueprint = func.Blueprint()


@blueprint.route(route="revoke", methods=["POST"])
async def revoke(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with what was put on the queue, or 200 for a dry run; both say who loses what, and how to undo it."""
    return await grant(req, RevokeWish, revoke_item)
