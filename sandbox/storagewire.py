"""What the data planes of storage accounts share: who may ask, and how refusals, lists and dates are written."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from html import escape

from sandbox.identity import bearer
from sandbox.wire import Answer, Call, Refused
from sandbox.world import World

VERSION = "2026-02-06"
NEVER = "Fri, 31 Dec 9999 23:59:59 GMT"


class StorageRefused(Refused):
    """A refusal as storage writes it: XML, and the code in x-ms-error-code."""

    def answer(self) -> Answer:
        """Return <Error><Code/><Message/></Error>."""
        inner = f"<Code>{self.code}</Code><Message>{escape(self.message, quote=False)}</Message>"
        return xml(f"<Error>{inner}</Error>", self.status, {**self.headers, "x-ms-error-code": self.code})


def authorize(world: World, call: Call) -> None:
    """Raise StorageRefused 401 unless a token for storage came along; access keys and SAS are taken as they are."""
    scheme = call.headers.get("authorization", "").partition(" ")[0].lower()
    if scheme in {"sharedkey", "sharedkeylite"} or call.query.get("sig"):
        return
    where = f'Bearer authorization_uri="https://login.microsoftonline.com/{world.tenant_id}/oauth2/authorize"'
    headers = {"WWW-Authenticate": f"{where} resource_id=https://storage.azure.com"}
    if scheme != "bearer":
        text = (
            "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."
        )
        raise StorageRefused(401, "NoAuthenticationInformation", text, headers)
    if bearer(world, call, ("https://storage.azure.com", f"https://{call.host}")) is None:
        text = "Server failed to authenticate the request."
        raise StorageRefused(401, "InvalidAuthenticationInfo", text, headers)


def common_headers(world: World, call: Call) -> dict[str, str]:
    """Return what every answer of storage carries."""
    return {"x-ms-version": call.headers.get("x-ms-version", VERSION), "Date": date(world.clock.time())}


def number(call: Call, name: str, default: int | None, least: int, most: int) -> int:
    """Return a query parameter; one that is missing, no number or out of range raises StorageRefused 400."""
    text = call.query.get(name)
    if text is None and default is not None:
        return default
    if text is None:
        text = f"The query parameter {name} is missing."
        raise StorageRefused(400, "MissingRequiredQueryParameter", text)
    try:
        value = int(text)
    except ValueError as error:
        raise StorageRefused(400, "InvalidQueryParameterValue", f"The value of {name} is no number.") from error
    if not least <= value <= most:
        raise out_of_range(name)
    return value


def date(moment: float | None) -> str:
    """Return seconds since the epoch as HTTP writes a time; None is never."""
    return NEVER if moment is None else formatdate(moment, usegmt=True)


def xml(inner: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with XML."""
    body = f'<?xml version="1.0" encoding="utf-8"?>{inner}'.encode()
    return Answer(status, {"Content-Type": "application/xml", **(headers or {})}, body)


def empty(status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer without a body."""
    return Answer(status, dict(headers or {}))


def out_of_range(name: str) -> StorageRefused:
    """Return the refusal of a parameter's value."""
    text = f"One of the query parameters specified in the request URI is outside the permissible range: {name}."
    return StorageRefused(400, "OutOfRangeQueryParameterValue", text)


def absent(call: Call, what: str) -> StorageRefused:
    """Return the refusal of what the sandbox leaves out."""
    return StorageRefused(501, "NotInSandbox", f"The sandbox's {what} do not do {call.method} {call.url}.")
