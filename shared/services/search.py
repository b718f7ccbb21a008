"""Search services and the objects in them, each of which has a key of its own. Facts: services.md 1.9
(docs/sources.md).

An object is put back whole. The service gives out no secret: it keeps a data source's connection string when it is sent
"<unchanged>"; what else was hidden cannot be sent, and "<redacted>" would delete it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from shared.domain.acting import Acting, untold
from shared.domain.jsonpath import lookup, member, replaced, text, without
from shared.domain.reasons import Reason
from shared.domain.resource import Audience, Edit, Json, KeyUse, Request, address_of
from shared.domain.service import Can, ChildList, May, Service, Verb
from shared.services.pace import LISTS, WORK
from shared.services.pointers import Split, aimed, forward, nested, nothing_to_send
from shared.services.taken_for_granted import FOLLOWING, PINNED

ARM_VERSION = "2025-05-01"  # [SDK azure-mgmt-search 9.2.0]
DATA_VERSION = "2026-04-01"  # [SDK azure-search-documents 12.0.0]
SLOT = "encryptionKey"
COLLECTIONS = ("indexes", "synonymmaps", "indexers", "datasources", "skillsets")

_TYPE = "Microsoft.Search/searchServices"
_KEY = Split("keyVaultUri", "keyVaultKeyName", "keyVaultKeyVersion")
_KEEP = "<unchanged>"
_CONNECTION = ("credentials", "connectionString")
_IDENTITY = "#Microsoft.Azure.Search.DataUserAssignedIdentity"

_SOURCES = (
    "SDK azure-search-documents 12.0.0 (names, verbs, api-version)",
    "azure-ai-docs search-security-manage-encryption-keys 2026-03 (only new objects; without a version: the latest)",
    "azure-docs search-security-manage-encryption-keys 2020-11 (key and version may change while both are there)",
    'learn rest/api/searchservice data-sources create-or-update ("<unchanged>" keeps the connection string)',
)


def _read_nothing(_body: Json) -> tuple[KeyUse, ...]:
    return ()


def _read(body: Json) -> tuple[KeyUse, ...]:
    key = lookup(body, SLOT)
    if not isinstance(key, dict) or not key:
        return ()
    configured = _KEY.read(key)
    return (KeyUse(SLOT, configured, configured.version is None),)


def _write(body: Json, edits: tuple[Edit, ...]) -> tuple[Request, ...]:
    (change,) = forward(edits)
    key = _KEY.pointing(lookup(body, SLOT), aimed(change))
    if change.identity is not None:
        chosen = {"@odata.type": _IDENTITY, "userAssignedIdentity": change.identity} if change.identity else None
        key = replaced(key, "identity", chosen)
    sent = replaced(without(body, "id", "@odata.context", "@odata.etag"), SLOT, key)
    if isinstance(lookup(body, _CONNECTION[0]), dict) and _is_hidden(lookup(body, *_CONNECTION)):
        sent = nested(sent, _CONNECTION, _KEEP)
    address, etag = address_of(str(body["id"])), text(lookup(body, "@odata.etag"))
    return (Request("PUT", address, DATA_VERSION, sent, Audience.SEARCH, etag),)


def _is_hidden(value: Any) -> bool:
    return not text(value) or text(value).lower() == "<redacted>"


def _withheld(body: Json) -> str:
    """Return where the first secret lies that is there and not shown, "" if there is none.

    A null is one only where the object makes no sense without: the key of a model may be null, and an identity used.
    """
    return next(_hidden(without(body, _CONNECTION[0]), ""), "")


def _hidden(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from _hidden(one, f"{path}[{number}]")
    elif isinstance(value, dict):
        if needed := _needed(value):
            yield f"{path}.{needed}".lstrip(".")
        for name, one in value.items():
            yield from _hidden(one, f"{path}.{name}".lstrip("."))
    elif text(value).lower() == "<redacted>":
        yield path


def _needed(obj: Json) -> str:
    """Return the member that the object cannot be without and that is not shown."""
    kind = text(lookup(obj, "@odata.type")).lower()
    for applies, name in (
        (text(lookup(obj, "applicationId")), "applicationSecret"),
        (member(obj, "storageConnectionString"), "storageConnectionString"),
        (kind.endswith(("cognitiveservicesbykey", "aiservicesbykey")), "key"),
    ):
        if applies and _is_hidden(lookup(obj, name)):
            return name
    return ""


SEARCH_SERVICES = Service(
    type=_TYPE,
    api_version=ARM_VERSION,
    traits=replace(
        PINNED,
        keep_old_for=timedelta(hours=1),
        actions=("Microsoft.Search/searchServices/read",),
        sources=("SDK azure-mgmt-search 9.2.0 (encryptionWithCmk holds no key)", *_SOURCES),
        can=dict.fromkeys(Verb, Reason.KEY_IS_BELOW),
        elsewhere=Reason.KEY_IS_BELOW,
        notes=(
            (
                "The service itself has no key; its objects have. It can demand that new ones get one "
                "(encryptionWithCmk enforcement), and says whether all have."
            ),
            (
                "A key for the whole service is in preview since 2026-03-01-preview (serviceLevelEncryptionKey); the "
                "app does not read it."
            ),
        ),
    ),
    read=_read_nothing,
    write=nothing_to_send,
    children=tuple(ChildList(f"{_TYPE}/{one}", one, LISTS, Audience.SEARCH) for one in COLLECTIONS),
)


def _objects(collection: str) -> Service:
    return Service(
        type=f"{_TYPE}/{collection}",
        api_version=DATA_VERSION,
        traits=replace(
            FOLLOWING,
            picks_up_within=timedelta(hours=1),  # how long a key is kept in its cache
            keep_old_for=timedelta(hours=1),
            pace=WORK,  # the data plane publishes none
            actions=(f"{_TYPE}/{collection}/read", f"{_TYPE}/{collection}/write"),
            acts=Acting(told=untold),
            sources=_SOURCES,
            can={
                Verb.REPOINT: Can.YES,
                Verb.SWITCH_KEY: Can.YES,
                Verb.SWITCH_VAULT: Can.YES,
                Verb.FOLLOW: Can.YES,
                Verb.PIN: Can.YES,
                Verb.ENABLE: Reason.CHOSEN_AT_CREATION,
                Verb.REVERT: Reason.NO_WAY_BACK,
            },
            needs=frozenset({May.PUT}),
            notes=(
                (
                    "The app needs Search Service Contributor on the service, and the service must take tokens beside "
                    "its keys. Which smaller role is enough: unverified."
                ),
                (
                    "An object whose body hides a secret (an application's secret, a skill's key) is not sent back: "
                    "change it by hand, with the secret at hand."
                ),
            ),
        ),
        read=_read,
        write=_write,
        in_graph=False,
        withheld=_withheld,
        audience=Audience.SEARCH,
    )


SERVICES = (SEARCH_SERVICES, *(_objects(collection) for collection in COLLECTIONS))
