"""One rotation over bodies as no example shows them: all that can move moves, and nothing but the key changes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm import searchservices
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.keys import parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import Json
from shared.domain.service import Verb
from shared.domain.work import Cause, Source, Sweep
from shared.services.kubernetes import REWRITE
from shared.services.registry import service_for
from tests.services.test_every_service import recased
from tests.support.azure import Azure, on_azure
from tests.support.moving import in_effect
from tests.support.policies import allowing
from tests.support.strange import NEWEST, described, every_body, is_searched, type_of

REFUSED = {"ws-side": "sources disagree on whether service-side encryption is rotated; this Azure refuses it"}
REWRITTEN = ("/keyUrl", "VersionedKeyIdentifier", "/versionedKeyIdentifier", "/keyVaultKeyUriVersion", "/uri")
SHOWN = {  # what Azure writes itself when a key moves
    *("etag", "@odata.etag", "lastkeyrotationtimestamp", "thumbprint", "currentversionedkeyexpirationtimestamp"),
    *("primaryencryptionkeystatus", "geobackupencryptionkeystatus", "previouskeys", "autokeyrotationerror"),
    *("customermanagedkeystatus", "lastmodifiedtime"),
}


def stored(azure: Azure, body: Json) -> Json:
    if not is_searched(body):
        return azure.body(body)
    *_, service, collection, name = str(body["id"]).lower().split("/")
    found = searchservices.objects(azure.world, service, collection)[name]
    return {**found, "id": body["id"], "@odata.context": ""}  # of an answer, not of the object


def moved_only(before: Any, after: Any, old: set[str], path: str = "") -> list[str]:
    """Return the paths where something else changed than an old version into the newest, character for character."""
    if path.rpartition("/")[2].lower() in SHOWN or path.endswith(f"/{REWRITE}"):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(before.keys() | after.keys())
        return [one for name in names for one in moved_only(before.get(name), after.get(name), old, f"{path}/{name}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [one for at, both in pairs for one in moved_only(*both, old, f"{path}/{at}")]
    turned = {before.replace(one, NEWEST) for one in old} if isinstance(before, str) else set()
    spelled = {*turned, *(one.rstrip("/") for one in turned)}  # no version ends in a slash once it is written
    if path.endswith(REWRITTEN) and isinstance(before, str) and before.startswith("https:"):
        spelled.add(parse_key_url(before).key.at(NEWEST).url)
    if path.endswith("/serverKeyName"):  # of a follower, the server's own
        spelled |= {one.lower() for one in turned}
    return [] if after == before or after in spelled else [f"{path}: {before!r} -> {after!r}"]


def named_now(change: str) -> bool:
    """Return whether a change is that of a pinned resource that named no version, and does now."""
    return change.endswith(f"/keyVersion: None -> {NEWEST!r}")


def faults(azure: Azure, body: Json, before: Json) -> list[str]:
    """Return what changed besides the key's version, and each use that did not move and should, or the reverse."""
    service = service_for(type_of(body))
    assert service is not None
    after = stored(azure, body)
    old = {one for use in service.read(before) for one in (use.configured.version, use.effective) if one}
    unnamed = any(not use.follows and use.configured.version is None for use in service.read(before))
    found = [f"{body['name']}{one}" for one in moved_only(before, after, old) if not (unnamed and named_now(one))]
    for use in service.read(after):
        traits = service.traits_of(after, use.slot)
        movable = not isinstance(traits.ability(Verb.REPOINT), Reason) and body["name"] not in REFUSED
        pinned = use.configured.version is not None and not use.follows
        if pinned and (use.configured.version == NEWEST) is not movable:
            found.append(f"{body['name']} {use.slot} names {use.configured.version}")
    return found


def recasing(azure: Azure) -> None:
    """From now on Resource Manager names the members of resources in upper case, but for what it fills in itself and
    vaults.
    """
    inner = azure.world.hooks

    def after(call: Call, answer: Answer) -> Answer:
        answer = inner.after(call, answer)
        told = any(f"/providers/microsoft.{one}" in call.path.lower() for one in ("resource", "author", "keyvault"))
        if call.method != "GET" or call.host != "management.azure.com" or answer.status != HTTPStatus.OK or told:
            return answer
        body = answer.json()
        listed = isinstance(body.get("value"), list)
        odd = {**body, "value": [recased(one, str.upper) for one in body["value"]]} if listed else body
        odd = recased(odd, str.upper) if "properties" in body and "id" in body else odd
        return replace(answer, body=json.dumps(odd).encode())

    azure.world.hooks = Hooks(inner.before, after)


@pytest.mark.parametrize("otherwise", [False, True], ids=["as spelled", "members in another case"])
def test_a_rotation_moves_all_that_can_move_and_changes_nothing_else_in_any_body(
    tmp_path: Path, *, otherwise: bool
) -> None:
    bodies = every_body()

    async def story(azure: Azure) -> None:
        if otherwise:
            recasing(azure)
        before = {str(body["id"]): stored(azure, body) for body in bodies}
        for _ in range(2):
            await azure.put(Sweep(Cause("c", Source.HTTP), azure.time.now()))
            await azure.drain(until=timedelta(days=2))
            assert azure.waiting() == []
            await asyncio.sleep(timedelta(days=1).total_seconds())  # who follows without a word has looked by then
        wrong = [one for body in bodies for one in faults(azure, body, before[str(body["id"])])]
        assert wrong == [], "\n".join(wrong)
        left = {str(body["name"]) for body in bodies if set(in_effect(azure, str(body["id"])).values()) - {NEWEST}}
        assert left == {"cg-batch", "ws-project", "db-versioned", *REFUSED}

    may = ("unproven", "put", "irreversible", "recreate", "hop")
    on_azure(described(bodies), story, environ=allowing(tmp_path, *may))
