"""HTTP answers: JSON, and problem details for what went wrong (RFC 9457)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import azure.functions as func
import msgspec

from shared.bootstrap import App, app
from shared.domain.reasons import Reason
from shared.domain.remedies import REMEDIES
from shared.domain.work import Cause, Source, WorkItem
from shared.errors import AppError, NotThere, Refusal, TooLarge, TryLater
from shared.usecases.forms import Form, read_wish
from shared.usecases.wishes import put_or_plan

_PLAIN_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def cause_of(req: func.HttpRequest, running: App) -> Cause:
    """Return the cause of a request: the caller's own correlation id if it sent a plain one."""
    sent = req.headers.get("x-ms-client-request-id", "")
    return Cause(sent if _PLAIN_ID.fullmatch(sent) else running.new_id(), Source.HTTP)


def answer(payload: Any, status: int = 200) -> func.HttpResponse:
    """Return a JSON answer. Members of ours are in camelCase, whatever struct they come from."""
    return func.HttpResponse(msgspec.json.encode(_told(payload)), status_code=status, mimetype="application/json")


def _told(value: Any) -> Any:
    """Return the value with structs as objects in camelCase; names of objects that are data stay as they are."""
    if isinstance(value, msgspec.Struct):
        tag = {value.__struct_config__.tag_field: value.__struct_config__.tag} if value.__struct_config__.tag else {}
        named = {_camel(one.encode_name): _told(getattr(value, one.name)) for one in msgspec.structs.fields(value)}
        return tag | named
    if isinstance(value, dict):
        return {name: _told(one) for name, one in value.items()}
    return [_told(one) for one in value] if isinstance(value, list | tuple) else value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(one.capitalize() for one in others)


def problem(error: AppError) -> func.HttpResponse:
    """Return an error as problem details, with its reason and remedy."""
    status = _status(error)
    body = {
        "type": f"urn:cmk-autopilot:reason:{error.reason.value}",
        "title": error.reason.value.replace("_", " "),
        "status": status,
        "detail": error.detail,
        "reason": error.reason.value,
        "remedy": REMEDIES[error.reason],
    }
    return func.HttpResponse(msgspec.json.encode(body), status_code=status, mimetype="application/problem+json")


def switch_of(params: dict[str, str], name: str) -> bool:
    """Return a yes-or-no parameter; no when it is absent. Anything but true and false is refused: who mistypes a dry
    run must not get a real one.
    """
    if unknown := sorted(set(params) - {name, "code"}):
        raise Refusal(Reason.BAD_REQUEST, f"unknown parameter {unknown[0][:50]!r}; there is {name}")
    written = params.get(name, "false").lower()
    if written not in {"true", "false"}:
        raise Refusal(Reason.BAD_REQUEST, f"{name} is true or false, not {written[:50]!r}")
    return written == "true"


def _status(error: AppError) -> int:
    if isinstance(error, TooLarge):
        return 413
    if error.reason is Reason.BAD_REQUEST:
        return 400
    if isinstance(error, NotThere):
        return 404
    return 503 if isinstance(error, TryLater) else 422


async def grant(
    req: func.HttpRequest,
    form: type[Form],
    item_of: Callable[[Any, Cause, datetime], WorkItem],
) -> func.HttpResponse:
    """Answer 202 with what was put on the queue, 200 with the plan of a dry run, or the problem."""
    running = app()
    try:
        wish = read_wish(req.get_body(), form)
        item = item_of(wish, cause_of(req, running), running.context.ports.clock.now())
        told = await put_or_plan(running.context, item, dry_run=wish.dry_run)
    except AppError as error:
        return problem(error)
    return answer(told, 200 if wish.dry_run else 202)
