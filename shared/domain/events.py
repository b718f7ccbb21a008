"""Events as Event Grid delivers them, in either schema, and the work each one asks for.

Events come from outside and may be forged, late, repeated or out of order. So only names are taken from them: where to
look. Times, versions, payloads and claims are read by nobody. [facts about shapes: docs/events.md]
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

from shared.domain.jsonpath import lookup, text
from shared.domain.keys import BadKeyUrl, KeyRef, is_key_name, parse_key_url
from shared.domain.resource import BadAddress, Json, address_of, fold
from shared.domain.work import Cause, CheckKey, CheckResource, CheckVault, Source, WorkItem

LONGEST_BODY = 1024 * 1024  # bytes: what Event Grid sends at most
MOST_EVENTS = 5000  # in one body, as Event Grid itself allows

KEY_EVENTS = frozenset(
    {
        "microsoft.keyvault.keynewversioncreated",
        "microsoft.keyvault.keynearexpiry",
        "microsoft.keyvault.keyexpired",
    }
)
VAULT_ACCESS_EVENT = "microsoft.keyvault.vaultaccesspolicychanged"
RESOURCE_EVENTS = frozenset(
    {
        "microsoft.resources.resourcewritesuccess",
        "microsoft.resources.resourcedeletesuccess",
        "microsoft.resourcenotifications.resources.createdorupdated",
        "microsoft.resourcenotifications.resources.deleted",
    }
)
_VAULT_TYPE = "microsoft.keyvault/vaults"
_DELETIONS = frozenset(
    {"microsoft.resources.resourcedeletesuccess", "microsoft.resourcenotifications.resources.deleted"}
)
_BELOW_VAULT = re.compile(r".*/providers/microsoft\.keyvault/vaults/[^/]+", re.IGNORECASE)
_ABOVE_VAULTS = re.compile(r"/subscriptions/[0-9a-f-]{36}(/resourcegroups/[\w.()-]{1,90})?", re.IGNORECASE)
_ROLE_ASSIGNMENT = "/providers/microsoft.authorization/roleassignments/"
_OBJECT_ID_CLAIM = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_PLAIN_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class BadEvent(ValueError):
    """The body is no event that can be read. Says what is wrong without repeating the body."""


class Skip(Enum):
    """Why an event asks for no work."""

    HANDSHAKE = "a subscription handshake"
    OTHER_TYPE = "an event type that asks for nothing"
    NOT_A_KEY = "about a secret or a certificate"
    NO_NAME = "it names no key, vault or resource"
    TOPIC_MISMATCH = "its topic is not the vault that it names"
    NO_SERVICE = "a resource of a type that the app does not know, or that holds no key"
    OWN_WRITE = "our own write coming back"
    UNREADABLE = "no event, or one without a type"
    WIDE_GRANT = "a role assignment made above vaults, or about none: who waits for it looks again, and the sweep looks"


class Ignored(Struct, frozen=True):
    """An event that asks for no work, and why."""

    event_id: str
    event_type: str
    why: Skip


class Event(Struct, frozen=True):
    """What is taken from an event of either schema."""

    id: str
    type: str
    source: str  # topic or source
    subject: str
    data: Json


class Reader(Struct, frozen=True):
    """What is needed to turn events into work: ours and known, not the event's."""

    vault_suffix: str  # ".vault.azure.net"
    types: frozenset[str]  # ARM types with a service, in lower case
    own_principals: frozenset[str] = frozenset()  # object ids and client ids of the app's identity, in lower case


def parse_events(body: str) -> tuple[Event, ...]:
    """Read one event or an array of them, in either schema. Raises BadEvent."""
    try:
        raw = body.removeprefix("\ufeff").encode()
        if len(raw) > LONGEST_BODY:
            raise BadEvent(f"a body of {len(raw)} bytes; {LONGEST_BODY} are allowed")
        found = _decoded(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise BadEvent(f"not JSON: {type(error).__name__}") from error
    if len(found) > MOST_EVENTS:
        raise BadEvent(f"{len(found)} events in one body; {MOST_EVENTS} are allowed")
    return tuple(_event(one) for one in found)


def _decoded(raw: bytes) -> list[Any]:
    try:
        decoded = msgspec.json.decode(raw)
    except msgspec.ValidationError:  # JSON, with a number that nothing can hold; it spoils its own event only
        return [_one_decoded(one) for one in msgspec.json.decode(raw, type=list[msgspec.Raw])]
    return decoded if isinstance(decoded, list) else [decoded]


def _one_decoded(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def _event(value: Any) -> Event:
    """Return what can be read of an event. One that is no event has no type; it must not take its neighbours along."""
    if not isinstance(value, dict):
        return Event("", "", "", "", {})
    type_ = text(lookup(value, "eventType")) or text(lookup(value, "type"))
    data = _object(lookup(value, "data"))
    source = text(lookup(value, "topic")) or text(lookup(value, "source"))
    return Event(text(lookup(value, "id")), type_, source, text(lookup(value, "subject")), data)


def _object(value: Any) -> Json:
    """Return an object, also one that came as a JSON string; anything else is empty."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = msgspec.json.decode(value.encode())
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return {}
    return value if isinstance(value, dict) else {}


def work_for(event: Event, reader: Reader, *, now: datetime, source: Source, spare_id: str) -> WorkItem | Ignored:
    """Return the work an event asks for. `spare_id` becomes the correlation id if the event's own id is not plain."""
    id_ = event.id if _PLAIN_ID.fullmatch(event.id) else spare_id
    type_ = event.type.lower()
    cause = Cause(id_, source, id_, event.type[:100])
    if type_ in KEY_EVENTS:
        found: WorkItem | Skip = _check_key(event, reader, cause, now)
    elif type_ == VAULT_ACCESS_EVENT:
        found = _check_vault(event.source, cause, now)
    elif type_ in RESOURCE_EVENTS:
        found = _check_resource(event, reader, cause, now)
    else:
        found = _why_not(type_)
    return Ignored(id_, event.type[:100], found) if isinstance(found, Skip) else found


def _why_not(type_: str) -> Skip:
    if not type_:
        return Skip.UNREADABLE
    return Skip.HANDSHAKE if type_ == "microsoft.eventgrid.subscriptionvalidationevent" else Skip.OTHER_TYPE


def _check_key(event: Event, reader: Reader, cause: Cause, now: datetime) -> CheckKey | Skip:
    if text(lookup(event.data, "ObjectType")).lower() in {"secret", "certificate"}:
        return Skip.NOT_A_KEY
    ref = _key_of(event, reader)
    if isinstance(ref, Skip):
        return ref
    vault_id = _vault_id(event.source)
    if vault_id.rpartition("/")[2].lower() != ref.key.host.partition(".")[0]:
        return Skip.TOPIC_MISMATCH
    return CheckKey(ref.key, cause, now, vault_id)


def _key_of(event: Event, reader: Reader) -> KeyRef | Skip:
    identifier = text(lookup(event.data, "Id"))
    if identifier:
        try:
            return parse_key_url(identifier)
        except BadKeyUrl:
            about_another = re.search(r"/(secrets|certificates)/", identifier, re.IGNORECASE)
            return Skip.NOT_A_KEY if about_another else Skip.NO_NAME
    vault, name = text(lookup(event.data, "VaultName")), text(lookup(event.data, "ObjectName")) or event.subject
    if is_key_name(vault) and is_key_name(name):
        return parse_key_url(f"https://{vault}{reader.vault_suffix}/keys/{name}")
    return Skip.NO_NAME


def _vault_id(named: str) -> str:
    """Return the vault's id, as it was read and not as it came; "" if it names no vault."""
    try:
        found = address_of(named)
    except BadAddress:
        return ""
    return found.url if found.type.lower() == _VAULT_TYPE else ""


def _check_vault(named: str, cause: Cause, now: datetime) -> CheckVault | Skip:
    vault_id = _vault_id(named)
    return CheckVault(cause, now, vault_id=vault_id) if vault_id else Skip.NO_NAME


def _check_resource(event: Event, reader: Reader, cause: Cause, now: datetime) -> WorkItem | Skip:
    named = text(lookup(event.data, "resourceUri")) or text(lookup(event.data, "resourceInfo", "id")) or event.subject
    if _writers(event.data) & reader.own_principals:
        return Skip.OWN_WRITE
    scope, mark, _ = named.lower().rpartition(_ROLE_ASSIGNMENT)
    if mark:
        return _check_reach(event, named[: len(scope)], cause, now)
    try:
        found = address_of(named)
    except BadAddress:
        return Skip.NO_SERVICE if named.startswith("/") else Skip.NO_NAME
    if found.type.lower() == _VAULT_TYPE:
        return _check_vault(named, cause, now)
    if found.type.lower() not in reader.types:
        return Skip.NO_SERVICE
    return CheckResource(found, cause, asked_at=now, first_at=now)


def _check_reach(event: Event, scope: str, cause: Cause, now: datetime) -> CheckVault | Skip:
    """Return a look at the vault that a role assignment is for. One above vaults is looked into only where it is gone:
    who waits for a grant comes back by itself, who lost one does not.
    """
    if vault := _BELOW_VAULT.match(scope):
        return _check_vault(scope[: vault.end()], cause, now)
    gone = event.type.lower() in _DELETIONS and _ABOVE_VAULTS.fullmatch(scope)
    return CheckVault(cause, now, within=fold(scope)) if gone else Skip.WIDE_GRANT


def _writers(data: Json) -> frozenset[str]:
    """Return who made the write, by object id and client id. Claims are looked at here and go nowhere from here."""
    claims = _object(lookup(data, "claims"))
    return frozenset(found.lower() for name in (_OBJECT_ID_CLAIM, "appid") if (found := text(lookup(claims, name))))


def types_of(types: Collection[str]) -> frozenset[str]:
    """Return ARM types in the form that `Reader.types` holds."""
    return frozenset(type_.lower() for type_ in types)
