"""SDK errors into ours, once, at the edge. One table; nothing reads English sentences."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from shared.domain.plain import one_line
from shared.domain.reasons import Reason
from shared.errors import AppError, NotThere, Refusal, TryLater

_LOG = logging.getLogger("cmk")
_LONGEST_DETAIL = 300
_LONGEST_WAIT = timedelta(days=1)  # no Retry-After is believed beyond that
# A 404 of these says that the thing asked for is not there. Others speak of something it refers to.
_GONE = {
    *("", "resourcenotfound", "resourcegroupnotfound", "parentresourcenotfound", "keynotfound", "notfound"),
    *("deletedvaultnotfound", "vaultnotfound"),
    *("operationnotfound", "operationidnotfound"),
}

# (status or None for any, error code in lower case) -> reason. Sources: services.md section 4 (docs/sources.md).
_BY_CODE: dict[str, Reason] = {
    "keyvaultpolicyerror": Reason.VAULT_NOT_PROTECTED,
    "keyvaultauthenticationfailure": Reason.KEY_ACCESS_DENIED,
    "accesspolicynotconfiguredforkeyvault": Reason.KEY_ACCESS_DENIED,
    "keyvaultaccessforbidden": Reason.KEY_ACCESS_DENIED,
    "azurekeyvaultmissingpermissions": Reason.KEY_ACCESS_DENIED,
    "managedserviceidentitynotfound": Reason.KEY_ACCESS_DENIED,
    "usererrorcmkkeyvaultauthfailure": Reason.KEY_ACCESS_DENIED,
    "samekeymaterialnotfoundonremoteserver": Reason.PARTNER_FIRST,
    "principalnotfound": Reason.PRINCIPAL_NOT_FOUND,
    "roleassignmentexists": Reason.GRANT_EXISTS,
    "scopelocked": Reason.SCOPE_LOCKED,
    "requestdisallowedbypolicy": Reason.DENIED_BY_POLICY,
    "denyassignmentauthorizationfailed": Reason.DENY_ASSIGNMENT,
    "linkedauthorizationfailed": Reason.LINKED_AUTHORIZATION,
    "authorizationfailed": Reason.NO_RIGHTS,
    "missingsubscriptionregistration": Reason.PROVIDER_NOT_REGISTERED,
    "vaultalreadyexists": Reason.VAULT_NAME,
    "vaultnamenotvalid": Reason.VAULT_NAME,
    "roleassignmentlimitexceeded": Reason.QUOTA,
    "quotaexceeded": Reason.QUOTA,
    "resourcequotaexceeded": Reason.QUOTA,
}
_NEW_TOKEN = {"expiredauthenticationtoken"}  # the next try comes with a fresh one
_LATER = {
    **dict.fromkeys((408, 500, 502, 503, 504), Reason.SERVICE_UNAVAILABLE),
    **dict.fromkeys((409, 412, 423), Reason.CONFLICT),
    429: Reason.THROTTLED,
}


def translate(error: AzureError) -> AppError:
    """Return what an SDK's error means for the work. Raise it `from` the error."""
    response = getattr(error, "response", None)
    if response is not None and isinstance(error, HttpResponseError):
        return _answered(error, response)
    if isinstance(error, ClientAuthenticationError):
        return TryLater(Reason.SERVICE_UNAVAILABLE, "no token could be had for the app's identity")
    return TryLater(Reason.SERVICE_UNAVAILABLE, _clean(f"{type(error).__name__}: {error.message}"))


def _answered(error: HttpResponseError, response: Any) -> AppError:
    status = int(response.status_code)
    code, message = _code_and_message(error)
    detail = _clean(f"{status} {code}: {message}")
    if code.lower() in _NEW_TOKEN or (status == 400 and not code):  # noqa: PLR2004
        # Azure always says what is wrong with a request: an answer that does not was spoilt on its way.
        return TryLater(Reason.SERVICE_UNAVAILABLE, detail)
    if known := _BY_CODE.get(code.lower()):
        return Refusal(known, detail)
    if status == 410 or (status == 404 and code.lower() in _GONE):  # noqa: PLR2004
        return NotThere(Reason.REFUSED, detail)
    if status < 400:  # noqa: PLR2004
        what = "with a body that cannot be read" if status < 300 else "leads elsewhere and is not followed"  # noqa: PLR2004
        return TryLater(Reason.SERVICE_UNAVAILABLE, f"{status} {what}")
    if reason := _LATER.get(status):
        return TryLater(reason, detail, retry_after(response.headers))
    return Refusal(Reason.NO_RIGHTS if status in {401, 403} else Reason.REFUSED, detail)


def refused_with(code: str, message: str) -> AppError:
    """Return what the error of an operation that failed means: the request that began it had been accepted."""
    detail = _clean(f"{code}: {message}")
    reason = _BY_CODE.get(code.lower())
    return Refusal(reason or Reason.REFUSED, detail)


def translate_vault(error: AzureError) -> AppError:
    """Return what an SDK's error means when a vault was asked: its firewall and its names are its own."""
    response = getattr(error, "response", None)
    if response is None and not isinstance(error, ClientAuthenticationError):
        return TryLater(Reason.VAULT_UNREACHABLE, _clean(f"{type(error).__name__}: {error.message}"))
    found = translate(error)
    if isinstance(found, Refusal) and found.reason is Reason.NO_RIGHTS:
        return Refusal(Reason.VAULT_FORBIDDEN, found.detail)
    return found


@contextmanager
def translated(what: str, how: Callable[[AzureError], AppError] = translate) -> Iterator[None]:
    """Turn what an SDK raises into our errors. Answers that are 200 and no use (cut short, of another shape, with odd
    names) make SDKs raise all sorts of things; to the work they are one: look again later.
    """
    try:
        yield
    except AzureError as error:
        raise how(error) from error
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        _LOG.warning("an answer about %s could not be read", what, exc_info=error)  # it may also be a bug of ours
        raise unreadable(f"{what}: {type(error).__name__}") from error


def unreadable(what: str) -> TryLater:
    """Return the error for an answer that is 200 and no use."""
    return TryLater(Reason.SERVICE_UNAVAILABLE, _clean(f"the answer cannot be read: {what}"))


def _code_and_message(error: HttpResponseError) -> tuple[str, str]:
    inner = getattr(error, "error", None)
    code = str(getattr(inner, "code", "") or "")
    message = str(getattr(inner, "message", "") or error.reason or "")
    return code, message


def retry_after(headers: Any) -> timedelta | None:
    """Return what Retry-After asks for, in seconds or as a date; at most a day, and None for what makes no sense."""
    written = str(headers.get("Retry-After") or "").strip()
    try:
        asked = timedelta(seconds=float(written)) if written[:1].isdigit() else _until(written, headers.get("Date"))
    except (ValueError, OverflowError, TypeError):
        return None
    return None if asked is None else min(max(asked, timedelta(0)), _LONGEST_WAIT)


def _until(written: str, said_at: str | None) -> timedelta | None:
    """Return how long it is until a date, by the clock of whoever wrote it."""
    if not written:
        return None
    return moment_in(written) - (moment_in(said_at) if said_at else datetime.now(UTC))


def moment_in(written: str) -> datetime:
    """Return the moment of a date in a header. Raises ValueError, TypeError."""
    moment = parsedate_to_datetime(written)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _clean(text: str) -> str:
    """Cut a message short and take out what looks like a token or a signature."""
    plain = re.sub(r"(?i)(bearer\s+|sig=|sharedkey\s+|accountkey=|client_secret=)\S+", r"\1***", text)
    plain = re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]*", "***", plain)
    return one_line(plain, _LONGEST_DETAIL)
