"""Rules that hold for every service; an offender is named by its type. A new service brings one body of its own."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.domain.keys import WRAP_AND_UNWRAP, KeyHistory, KeyId, KeyVersion, Material
from shared.domain.plan import Facts, SetKeys, plan
from shared.domain.policy import Mode, Rule, Version
from shared.domain.reasons import Reason
from shared.domain.resource import Change, Json, KeyUse, Revert, address_of
from shared.domain.service import Follow, May, Service, Verb
from shared.services.registry import services
from tests.services.azure import carried_out, differences

BODIES = Path(__file__).parent / "bodies"
ALL = [pytest.param(service, id=service.type) for service in services().values()]
NEXT = "f" * 32
MARCH, JUNE, NOW = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 6, 7))
# What a PUT leaves out: members that its service fills in [SDK models, read-only].
READ_ONLY = {"systemData", "provisioningState", "uri", "thumbprint", "keyVersion"}
READ_ONLY |= {"@odata.etag", "@odata.context"}
READ_ONLY |= {"workspaceId", "workspaceUrl", "createdDateTime", "storageAccountIdentity", "managedDiskIdentity"}
READ_ONLY |= {"isUcEnabled", "diskEncryptionSetId", "privateEndpointConnections"}
MADE = {
    (f"Microsoft.Sql/{server}/encryptionProtector", path)
    for server in ("servers", "managedInstances")
    for path in ("/kind", "/location")
}


def bodies(service: Service) -> list[Json]:
    """Return the example bodies of a service: files named after its type, slashes as underscores."""
    stem = service.type.lower().replace("/", "_")
    found = [json.loads(path.read_text()) for path in sorted(BODIES.glob(f"{stem}-*.json"))]
    assert found, f"{service.type} has no example body in tests/services/bodies"
    return found


def spelled(body: Json) -> tuple[Json, ...]:
    """Return a body as it is and in the spellings that Azure uses too."""
    text = json.dumps(body)
    odd = (
        text.replace(".vault.azure.net", ".VAULT.azure.net:443"),
        text.replace('.vault.azure.net"', '.vault.azure.net/"'),
    )
    return (body, *(json.loads(one) for one in odd))


def wishes(service: Service, body: Json, use: KeyUse) -> list[Change]:
    """Return a change for everything that may be wished of a use and that the service can do."""
    key, host = use.configured.key, use.configured.key.host
    wished = {
        Verb.REPOINT: Change(use.slot, key.at(NEXT), follow=False),
        Verb.SWITCH_KEY: Change(use.slot, KeyId(host, "other-key").at(NEXT), follow=use.follows),
        Verb.SWITCH_VAULT: Change(use.slot, KeyId("other.vault.azure.net", "other-key").at(NEXT), follow=use.follows),
        Verb.FOLLOW: Change(use.slot, key.at(NEXT), follow=True),
        Verb.PIN: Change(use.slot, key.at(NEXT), follow=False),
    }
    traits = service.traits_of(body, use.slot)
    fits = {Verb.REPOINT: not use.follows, Verb.FOLLOW: not use.follows, Verb.PIN: use.follows}
    return [
        change
        for verb, change in wished.items()
        if fits.get(verb, True) and not isinstance(traits.ability(verb), Reason)
    ]


def slots(service: Service) -> list[str]:
    """Return the slots that a service has been seen with, in order."""
    return list(dict.fromkeys(use.slot for body in bodies(service) for use in service.read(body)))


@pytest.mark.parametrize("service", ALL)
def test_what_is_read_after_a_write_is_what_was_asked_for(service: Service) -> None:
    for body in bodies(service):
        for odd in spelled(body):
            for use in service.read(odd):
                for change in wishes(service, odd, use):
                    found = {one.slot: one for one in service.read(carried_out(odd, service.write(odd, (change,))))}
                    now = found[use.slot]
                    assert (now.configured.key, now.follows) == (change.to.key, change.follow)
                    by_flag = service.traits_of(odd, use.slot).follow is Follow.BY_FLAG
                    named = use.configured.version is not None or not change.follow
                    if use.follows or not isinstance(service.traits_of(odd).ability(Verb.REPOINT), Reason):
                        expected = NEXT if by_flag or (named and not change.follow) else None
                        assert now.configured.version == expected
                    others = [one for one in service.read(odd) if one.slot != use.slot]
                    assert [one for one in found.values() if one.slot != use.slot] == others


@pytest.mark.parametrize("service", ALL)
def test_a_slot_without_a_key_gets_one_and_one_that_goes_back_has_none(service: Service) -> None:
    for body in bodies(service):
        used = {use.slot for use in service.read(body)}
        missing = [slot for slot in slots(service) if slot not in used]
        traits = service.traits_of(body)
        if missing and not isinstance(traits.ability(Verb.ENABLE), Reason):
            to = KeyId("other.vault.azure.net", "other-key").at(NEXT)
            changes = tuple(Change(slot, to, follow=False) for slot in missing)
            found = {one.slot: one for one in service.read(carried_out(body, service.write(body, changes)))}
            assert {found[slot].configured for slot in missing} == {to}
            assert used <= found.keys()
        if used and not isinstance(traits.ability(Verb.REVERT), Reason):
            reverts = tuple(Revert(slot) for slot in used)
            assert service.read(carried_out(body, service.write(body, reverts))) == ()


@pytest.mark.parametrize("service", ALL)
def test_a_write_changes_nothing_but_the_key_and_leaves_out_only_what_is_read_only(service: Service) -> None:
    for body in bodies(service):
        for unknown in (body, with_unknown_fields(body)):
            before = copy.deepcopy(unknown)
            for use in service.read(unknown):
                if isinstance(service.traits_of(unknown, use.slot).ability(Verb.REPOINT), Reason):
                    continue
                change = Change(use.slot, use.configured.key.at(NEXT), follow=use.follows)
                after = carried_out(unknown, service.write(unknown, (change,)))
                assert unknown == before, "the body that was read must not be touched"
                for path, value in differences(unknown, after).items():
                    gone = value is None and (path.rpartition("/")[2] in READ_ONLY or (service.type, path) in MADE)
                    kept = (path.endswith("connectionString"), value) == (True, "<unchanged>")
                    assert gone or kept or NEXT in str(value), (path, value)


def with_unknown_fields(body: Json) -> Json:
    """Return the body with a member that nobody knows in every object, lists' too."""

    def grown(value: Any) -> Any:
        if isinstance(value, list):
            return [grown(one) for one in value]
        if isinstance(value, dict):
            return {**{name: grown(one) for name, one in value.items()}, "somethingNew": [1, {"two": 3}]}
        return value

    return dict(grown(body))


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("service", ALL)
def test_a_plan_that_was_carried_out_leaves_nothing_to_write(service: Service, version: Version) -> None:
    for body in bodies(service):
        steps = plan(facts(service, body, version))
        changes = [step.changes for step in steps if isinstance(step, SetKeys)]
        after = body
        for one in changes:
            after = carried_out(body, service.write(body, one))
        again = plan(facts(service, after, version))
        assert not any(isinstance(step, SetKeys) for step in again), again
        assert bool(changes) == may_be_moved(service, body, version)


def may_be_moved(service: Service, body: Json, version: Version) -> bool:
    """Return whether one of the uses is to be written, by what the service says of itself."""
    found = False
    for use in service.read(body):
        traits = service.traits_of(body, use.slot)
        turns = {Version.FOLLOW: not use.follows, Version.PIN: use.follows}.get(version, False)
        turn = Verb.FOLLOW if version is Version.FOLLOW else Verb.PIN
        if turns and not isinstance(traits.ability(turn), Reason):
            found = True
        elif not use.follows:
            found = found or not isinstance(traits.ability(Verb.REPOINT), Reason)
    return found


def facts(service: Service, body: Json, version: Version) -> Facts:
    """Return what a plan is made from: every key of the body has a newer version, and everything is allowed."""
    uses = service.read(body)
    material = Material("RSA", 2048, WRAP_AND_UNWRAP)
    older = {use.configured.version or "0" * 32 for use in uses} - {NEXT}
    versions = (
        *(KeyVersion(one, MARCH, material=material) for one in older),
        KeyVersion(NEXT, JUNE, material=material),
    )
    keys = {use.configured.key: KeyHistory(use.configured.key, versions, NEXT, NOW) for use in uses}
    rule = Rule("all", rotation=Mode.FIX, version=version, may=frozenset(May))
    return Facts(service, address_of(str(body["id"])), body, uses, dict(keys), NOW, rule)


@pytest.mark.parametrize("service", ALL)
def test_requests_name_the_api_version_and_the_etag_and_stay_below_the_resource_they_are_for(service: Service) -> None:
    for body in bodies(service):
        own = address_of(str(body["id"]))
        for use in service.read(body):
            for change in wishes(service, body, use):
                for request in service.write(body, (change,)):
                    assert (request.api_version, request.audience) == (service.api_version, service.audience)
                    assert request.if_match == body.get("@odata.etag", "")
                    assert request.address.folded.startswith((own.parent or own.url).lower())
                    whole = request.method == "PUT" and request.address.folded == own.folded
                    assert whole <= (May.PUT in service.traits.needs)


@pytest.mark.parametrize("service", ALL)
def test_unknown_fields_and_odd_spellings_are_read_alike(service: Service) -> None:
    for body in bodies(service):
        odd = json.loads(json.dumps(body).replace(".vault.azure.net", ".VAULT.azure.net:443"))
        assert service.read(with_unknown_fields(odd)) == service.read(body)


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
    for one in (traits, *service.slots.values(), *service.kinds.values()):
        assert (one.picks_up_within is None) == (one.follow is Follow.NEVER)
        assert one.accepts == traits.accepts, "the materials that are read do not go by slot"
        assert isinstance(one.ability(Verb.FOLLOW), Reason) <= (one.follow in {Follow.NEVER, Follow.ALWAYS})


def test_every_example_body_belongs_to_a_service() -> None:
    stems = {service.type.lower().replace("/", "_") for service in services().values()}
    strays = [path.name for path in BODIES.glob("*.json") if path.name.split("-")[0] not in stems]
    assert strays == []
