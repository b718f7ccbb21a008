"""POST audit: compare a vault with what the policy expects of it."""

from __future__ import annotations

import azure.functions as func

from functions.answers import grant
from shared.usecases.forms import AuditWish
from shared.usecases.wishes import audit_item

blueprint = func.Blueprint()


@blueprint.route(route="audit", methods=["POST"])
async def audit(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 202 with what was put on the queue, or 200 with the findings of a dry run."""
    return await grant(req, AuditWish, audit_item)
