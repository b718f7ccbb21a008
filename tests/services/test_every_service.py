"""Rules that hold for every service; an offender is named by its type. A new service brings one body of its own."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from shared.domain.keys import KeyId
from shared.domain.resource import Change, Json
from shared.domain.service import Follow, Service
from shared.services.registry import services

BODIES = Path(__file__).parent / "bodies"
ALL = [pytest.param(service, id=service.type) for service in services().values()]
NEXT = "f" * 32


def bodies(service: Service) -> list[Json]:
    """Return the example bodies of a service: files named after its type, slashes as underscores."""
    stem = service.type.lower().replace("/", "_")
    found = [json.loads(path.read_text()) for path in sorted(BODIES.glob(f"{stem}*.json"))]
    assert found, f"{service.type} has no example body in tests/services/bodies"
    return found


def patched(body: Json, change: Any) -> Any:
    """Return what a JSON merge of a request into the body gives."""
    if not isinstance(change, dict):
        return change
    merged = dict(body) if isinstance(body, dict) else {}
    for name, value in change.items():
        merged[name] = patched(merged.get(name, {}), value) if isinstance(value, dict) else value
    return merged


@pytest.mark.parametrize("service", ALL)
def test_what_is_read_after_a_write_is_what_was_asked_for(service: Service) -> None:
    for body in bodies(service):
        for use in service.read(body):
            for other in (use.configured.key, KeyId("other.vault.azure.net", "other-key")):
                change = Change(use.slot, other.at(NEXT), follow=False)
                (request,) = service.write(body, (change,))
                found = {one.slot: one for one in service.read(patched(body, request.body))}
                assert found[use.slot].configured == change.to
                assert not found[use.slot].follows


@pytest.mark.parametrize("service", ALL)
def test_a_follower_stays_one_when_it_is_told_to_follow(service: Service) -> None:
    if service.traits.follow is Follow.NEVER:
        return
    for body in bodies(service):
        for use in service.read(body):
            change = Change(use.slot, use.configured.key.at(None), follow=True)
            (request,) = service.write(body, (change,))
            found = {one.slot: one for one in service.read(patched(body, request.body))}
            assert found[use.slot].follows


@pytest.mark.parametrize("service", ALL)
def test_a_write_changes_nothing_but_the_key(service: Service) -> None:
    for body in bodies(service):
        before = copy.deepcopy(body)
        for use in service.read(body):
            (request,) = service.write(body, (Change(use.slot, use.configured.key.at(NEXT), follow=False),))
            assert body == before, "the body that was read must not be touched"
            changed = differences(body, patched(body, request.body))
            assert all(NEXT in str(value) for value in changed.values()), changed


def differences(before: Any, after: Any, path: str = "") -> dict[str, Any]:
    """Return what is not the same, by path."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, Any] = {}
        for name in before.keys() | after.keys():
            found |= differences(before.get(name), after.get(name), f"{path}/{name}")
        return found
    return {} if before == after else {path: after}


@pytest.mark.parametrize("service", ALL)
def test_unknown_fields_and_odd_spellings_are_read_alike(service: Service) -> None:
    for body in bodies(service):
        odd = json.loads(json.dumps(body).replace(".vault.azure.net", ".VAULT.azure.net:443"))
        odd["properties"]["somethingNew"] = {"nested": [1, {"two": 3}]}
        assert service.read(odd) == service.read(body)


@pytest.mark.parametrize("service", ALL)
def test_bodies_without_a_key_use_none_and_no_body_makes_read_fail(service: Service) -> None:
    shapes: tuple[Json, ...] = ({}, {"properties": None}, {"properties": []}, {"properties": {"encryption": "x"}})
    for odd in shapes:
        assert service.read(odd) == ()


@pytest.mark.parametrize("service", ALL)
def test_every_fact_has_a_source_and_every_child_list_a_service(service: Service) -> None:
    traits = service.traits
    assert traits.sources, f"{service.type}: no sources"
    assert traits.actions, f"{service.type}: no actions, so no role can be made for it"
    assert all(child.type.lower() in services() for child in service.children)
    assert (traits.picks_up_within is None) == (traits.follow is Follow.NEVER)


def test_every_example_body_belongs_to_a_service() -> None:
    stems = {service.type.lower().replace("/", "_") for service in services().values()}
    strays = [
        path.name
        for path in BODIES.glob("*.json")
        if path.name.split(".")[0].split("-")[0] and not any(path.name.startswith(stem) for stem in stems)
    ]
    assert strays == []
