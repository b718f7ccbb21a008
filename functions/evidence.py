"""GET evidence: what was changed, refused and verified, as it was written down."""

from __future__ import annotations

import azure.functions as func

from functions.answers import answer, problem
from shared.bootstrap import app
from shared.errors import AppError
from shared.usecases.evidence import evidence as look

blueprint = func.Blueprint()


@blueprint.route(route="evidence", methods=["GET"])
async def evidence(req: func.HttpRequest) -> func.HttpResponse:
    """Answer 200 with lines, the oldest first, and a cursor when there may be more."""
    try:
        return answer(await look(app().context, dict(req.params)))
    except AppError as error:
        return problem(error)
