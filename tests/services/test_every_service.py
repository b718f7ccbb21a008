"""Rules that hold for every service; an offender is named by its type. A new service brings one body of its own."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.keys import WRAP_AND_UNWRAP, BadKeyUrl, KeyHistory, KeyId, KeyVersion, Material
from shared.domain.plan import Facts, SetKeys, plan
from shared.domain.plan.deciding import verb_of
from shared.domain.policy import Mode, Rule, Version
from shared.domain.reasons import Blocked, Reason
from shared.domain.resource import Change, Edit, Json, KeyUse, Revert, address_of
from shared.domain.service import Follow, May, Service, Traits, Verb
from shared.domain.wish import Wish
from shared.services.registry import services
from tests.services.applying import applied, differences

BODIES = Path(__file__).parent / "bodies"
ALL = [pytest.param(service, id=service.type) for service in services().values()]
NEXT = "f" * 32
OTHER = "other-key"
WORDS = {"<unchanged>"}  # by which a service keeps what it does not show
SWITCHES = {"rotationToLatestKeyVersionEnabled", "autoRotationEnabled"}
BY_SERVICE = {"ServiceManaged", "AzureKeyVault", "Default", "SystemManaged"}
MARCH, JUNE, NOW = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 6, 7))
ODD: tuple[Any, ...] = (None, True, 7, "x", "https://x", [], [{}], {}, {"id": 1})


def bodies(service: Service) -> list[Json]:
    """Return the example bodies of a service: files named after its type, slashes as underscores."""
    stem = service.type.lower().replace("/", "_")
    found = [json.loads(path.read_text()) for path in sorted(BODIES.glob(f"{stem}-*.json"))]
    assert found, f"{service.type} has no example body in tests/services/bodies"
    return found


def all_traits(service: Service) -> list[Traits]:
    return [service.traits, *service.kinds.values(), *service.slots.values()]


def asked(verb: Verb, use: KeyUse, follow: Follow) -> Edit | None:
    """Return an edit that asks this of the use; None where there is nothing to ask."""
    if verb is Verb.REVERT:
        return Revert(use.slot)
    key = use.configured.key
    follows = use.follows or follow is Follow.ALWAYS
    changes = {
        Verb.SWITCH_KEY: Change(use.slot, KeyId(key.host, OTHER).at(NEXT), follow=follows),
        Verb.SWITCH_VAULT: Change(use.slot, KeyId("other.vault.azure.net", OTHER).at(NEXT), follow=follows),
    }
    if use.follows:
        changes[Verb.PIN] = Change(use.slot, key.at(NEXT), follow=False)
    else:
        changes[Verb.REPOINT] = Change(use.slot, key.at(NEXT), follow=False)
        changes[Verb.FOLLOW] = Change(use.slot, key.at(NEXT), follow=True)
    return changes.get(verb)


def edits(service: Service) -> Iterator[tuple[Verb, Json, Edit]]:
    """Yield everything that may be asked of the example bodies, as far as their traits allow it."""
    found = bodies(service)
    for body in found:
        for use in service.read(body):
            traits = service.traits_of(body, use.slot)
            for verb in Verb:
                edit = asked(verb, use, traits.follow)
                if edit is not None and not isinstance(traits.ability(verb), Reason):
                    assert isinstance(edit, Revert) or verb_of(edit, use) is verb
                    yield verb, body, edit
        traits = service.traits_of(body, service.main_slot)
        if not service.read(body) and not isinstance(traits.ability(Verb.ENABLE), Reason):
            used = [use for other in found for use in service.read(other)]
            key = KeyId(used[0].configured.key.host, OTHER).at(NEXT)
            yield Verb.ENABLE, body, Change(service.main_slot, key, follow=traits.follow is Follow.ALWAYS)


@pytest.mark.parametrize("service", ALL)
def test_what_is_read_after_a_write_is_what_was_asked_for(service: Service) -> None:
    for verb, body, edit in edits(service):
        found = {one.slot: one for one in service.read(applied(body, service.write(body, (edit,))))}
        if isinstance(edit, Revert):
            assert edit.slot not in found
            continue
        assert found[edit.slot].configured.key == edit.to.key, verb
        assert found[edit.slot].follows == edit.follow, verb
        assert edit.follow or found[edit.slot].configured.version in {NEXT, unversioned(body, edit.slot, service)}, verb


def unversioned(body: Json, slot: str, service: Service) -> str | None:
    """Return None if the slot names no version although it does not follow: then it never does."""
    return None if any(not use.follows and use.configured.version is None for use in service.read(body)) else NEXT


@pytest.mark.parametrize("service", ALL)
def test_asking_twice_changes_nothing_the_second_time(service: Service) -> None:
    for verb, body, edit in edits(service):
        once = applied(body, service.write(body, (edit,)))
        assert applied(once, service.write(once, (edit,))) == once, verb


@pytest.mark.parametrize("service", ALL)
def test_a_follower_stays_one_when_it_is_told_to_follow(service: Service) -> None:
    for body in bodies(service):
        for use in service.read(body):
            if not use.follows or isinstance(service.traits_of(body, use.slot).ability(Verb.FOLLOW), Reason):
                continue
            change = Change(use.slot, use.configured.key.at(None), follow=True)
            found = {one.slot: one for one in service.read(applied(body, service.write(body, (change,))))}
            assert found[use.slot].follows
            assert found[use.slot].configured.key == use.configured.key


@pytest.mark.parametrize("service", ALL)
def test_moving_to_another_version_changes_nothing_but_the_key_however_the_vault_is_spelled(service: Service) -> None:
    for plain in bodies(service):
        for body in (plain, oddly(plain)):
            before = copy.deepcopy(body)
            for use in service.read(body):
                traits = service.traits_of(body, use.slot)
                edit = asked(Verb.REPOINT, use, traits.follow)
                if edit is None or isinstance(traits.ability(Verb.REPOINT), Reason):
                    continue
                requests = service.write(body, (edit,))
                assert body == before, "the body that was read must not be touched"
                changed = differences(body, applied(body, requests))
                said = {path: one for path, one in changed.items() if one is not None and one not in WORDS}
                assert said
                assert all(NEXT in str(one) for one in said.values()), changed
                assert all(spelling(body) in one for one in said.values() if "https:" in one), changed
                gone = changed.keys() - said.keys()
                assert not gone or requests[-1].method == "PUT", f"a PATCH takes nothing away: {gone}"


def oddly(body: Json) -> Json:
    """Return the body with its vaults in another case, with a port and with slashes at the end."""
    odd = json.dumps(body).replace(".vault.azure.net", ".VAULT.azure.net:443")
    found: Json = json.loads(re.sub(r'"(https://[^"/]*\.VAULT\.[^"]*[^"/])"', r'"\1/"', odd))
    return found


def spelling(body: Json) -> str:
    return ".VAULT.azure.net:443" if ".VAULT." in json.dumps(body) else ".vault.azure.net"


@pytest.mark.parametrize("service", ALL)
def test_unknown_fields_and_odd_spellings_are_read_alike(service: Service) -> None:
    for body in bodies(service):
        odd = oddly(strange(body))
        assert service.read(odd) == service.read(body)


@pytest.mark.parametrize("nothing", [None, "left out"])
@pytest.mark.parametrize("service", ALL)
def test_a_switch_that_says_nothing_says_no_more_after_a_move(service: Service, nothing: str | None) -> None:
    """A pinned resource whose switch is null or not there is not given one: nothing but the key changes."""
    if service.traits.follow is not Follow.BY_FLAG and not any(t.follow is Follow.BY_FLAG for t in all_traits(service)):
        return
    for body in bodies(service):
        odd = silent(body, nothing)
        for use in service.read(odd):
            edit = Change(use.slot, use.configured.key.at(NEXT), follow=False)
            if isinstance(service.traits_of(odd, use.slot).ability(Verb.REPOINT), Reason):
                continue
            after = applied(odd, service.write(odd, (edit,)))
            assert [path for path in differences(odd, after) if path.rpartition("/")[2] in SWITCHES] == []


def silent(value: Any, nothing: str | None) -> Any:
    """Return the value with its switches null, or without them."""
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if name not in SWITCHES or nothing is None}
        return {name: None if name in SWITCHES else silent(one, nothing) for name, one in kept.items()}
    return [silent(one, nothing) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("change", [str.upper, str.capitalize, str.lower])
@pytest.mark.parametrize("service", ALL)
def test_members_named_in_another_case_are_read_and_written_alike(
    service: Service, change: Callable[[str], str]
) -> None:
    """Nothing is written beside a member that is there."""
    for body in bodies(service):
        odd = recased(body, change)
        assert service.read(odd) == service.read(body)
        assert service.settled(odd) == service.settled(body)
        assert service.traits_of(odd) == service.traits_of(body)
        assert service.through(odd) == service.through(body)
        assert service.dependents(odd) == service.dependents(body)
        assert service.withheld(odd).lower() == service.withheld(body).lower()
    for verb, body, edit in edits(service):
        odd = recased(body, change)
        sent = service.write(odd, (edit,))
        assert [folded(one.body) for one in sent] == [folded(one.body) for one in service.write(body, (edit,))], verb
        assert [replace(one, body=None) for one in sent] == [
            replace(one, body=None) for one in service.write(body, (edit,))
        ]


def recased(value: Any, change: Callable[[str], str], name: str = "") -> Any:
    """Return the value with its members named in another case, but for what people name."""
    if isinstance(value, dict) and name.lower() in {"tags", "userassignedidentities"}:
        return {key: recased(one, change) for key, one in value.items()}
    if isinstance(value, dict):
        plain = {"id", "name"} if "id" in value else set()  # what Azure Resource Manager fills in, as it always does
        return {key if key in plain else change(key): recased(one, change, key) for key, one in value.items()}
    return [recased(one, change) for one in value] if isinstance(value, list) else value


def folded(value: Any) -> Any:
    """Return the value with the names of its members in lower case; no object may have one twice."""
    if isinstance(value, dict):
        assert len({name.lower() for name in value}) == len(value), value
        return {name.lower(): folded(one) for name, one in value.items()}
    return [folded(one) for one in value] if isinstance(value, list) else value


def strange(value: Any) -> Any:
    """Return the value with a member that nobody knows in every object."""
    if isinstance(value, dict):
        return {**{name: strange(one) for name, one in value.items()}, "somethingNew": {"nested": [1, {"two": 3}]}}
    return [strange(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("service", ALL)
def test_unknown_fields_survive_every_write_but_going_back(service: Service) -> None:
    for verb, body, edit in edits(service):
        if verb is Verb.REVERT:
            continue
        odd = strange(body)
        after = applied(odd, service.write(odd, (edit,)))
        lost = [path for path in differences(odd, after) if path.endswith("/somethingNew")]
        assert lost == [], verb


@pytest.mark.parametrize("service", ALL)
def test_no_request_says_anything_that_was_neither_read_nor_asked_for(service: Service) -> None:
    """No secret is made up for one that the service withholds."""
    for verb, body, edit in edits(service):
        known = set(strings(body))
        for request in service.write(body, (edit,)):
            invented = [one for one in strings(request.body) if one and one not in known | WORDS and not _of_keys(one)]
            assert invented == [], verb


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


def _of_keys(text: str) -> bool:
    return (
        any(part in text for part in (NEXT, OTHER, ".vault.azure.net"))
        or text.startswith("Microsoft.")
        or text in BY_SERVICE
    )


@pytest.mark.parametrize("service", ALL)
def test_every_request_names_the_resource_or_a_sibling_and_the_api_version_of_its_type(service: Service) -> None:
    for verb, body, edit in edits(service):
        requests = service.write(body, (edit,))
        assert requests, f"{verb} is allowed and nothing is sent"
        for request in requests:
            target = services().get(request.address.type.lower(), service)
            assert request.api_version == target.api_version
            assert request.method in {"PATCH", "PUT"}
            assert request.address.url.startswith(body["id"].rpartition("/")[0].rpartition("/")[0])


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("service", ALL)
def test_a_plan_that_was_carried_out_leaves_nothing_to_write(service: Service, version: Version) -> None:
    for body in bodies(service):
        steps = plan(facts(service, body, version))
        changes = [step.changes for step in steps if isinstance(step, SetKeys)]
        after = body
        for one in changes:
            after = applied(body, service.write(body, one))
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
    material = Material("RSA", 2048, WRAP_AND_UNWRAP | {"encrypt", "decrypt"})
    older = {use.configured.version or "0" * 32 for use in uses} - {NEXT}
    versions = (
        *(KeyVersion(one, MARCH, material=material) for one in older),
        KeyVersion(NEXT, JUNE, material=material),
    )
    keys = {use.configured.key: KeyHistory(use.configured.key, versions, NEXT, NOW) for use in uses}
    rule = Rule("all", rotation=Mode.FIX, version=version, may=frozenset(May))
    return Facts(service, address_of(str(body["id"])), body, uses, dict(keys), NOW, rule)


@pytest.mark.parametrize("service", ALL)
def test_bodies_without_a_key_use_none_and_no_body_makes_read_fail(service: Service) -> None:
    shapes: tuple[Json, ...] = ({}, {"properties": None}, {"properties": []}, {"properties": {"encryption": "x"}})
    for odd in shapes:
        assert service.read(odd) == ()


@pytest.mark.parametrize("service", ALL)
def test_whatever_stands_in_one_place_of_a_body_read_returns_or_says_that_a_key_is_unreadable(service: Service) -> None:
    for body in bodies(service):
        for odd in mutants(body):
            try:
                uses = service.read(odd)
            except BadKeyUrl:
                continue
            assert all(isinstance(use, KeyUse) for use in uses)
            service.traits_of(odd)


def mutants(value: Any) -> Iterator[Any]:
    """Yield the value with one part of it replaced by something odd, or gone."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield {other: two for other, two in value.items() if other != name}
            yield from ({**value, name: odd} for odd in (*ODD, *mutants(one)))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from ([*value[:number], odd, *value[number + 1 :]] for odd in (*ODD, *mutants(one)))


@pytest.mark.parametrize("service", ALL)
def test_every_fact_has_a_source_and_every_child_list_a_service(service: Service) -> None:
    for traits in all_traits(service):
        assert traits.sources, f"{service.type}: no sources"
        assert traits.actions, f"{service.type}: no actions, so no role can be made for it"
        assert (traits.picks_up_within is None) == (traits.follow is Follow.NEVER)
        assert traits.keep_old_for or traits.afterwards, f"{service.type}: nobody says how long the old version is used"
    assert all(child.type.lower() in services() for child in service.children)


@pytest.mark.parametrize("service", ALL)
def test_what_never_follows_cannot_be_told_to_and_what_always_does_cannot_be_pinned(service: Service) -> None:
    for traits in all_traits(service):
        if traits.follow is Follow.NEVER:
            assert isinstance(traits.ability(Verb.FOLLOW), Reason)
        if traits.follow is Follow.ALWAYS:
            assert isinstance(traits.ability(Verb.PIN), Reason)
            assert isinstance(traits.ability(Verb.REPOINT), Reason)


def test_every_example_body_belongs_to_a_service() -> None:
    stems = {service.type.lower().replace("/", "_") for service in services().values()}
    strays = [path.name for path in BODIES.glob("*.json") if path.name.rpartition("-")[0] not in stems]
    assert strays == []


@pytest.mark.parametrize("service", ALL)
def test_a_wish_for_a_first_key_that_is_never_begun_with_is_told_the_reason_that_the_traits_have(
    service: Service,
) -> None:
    traits = service.traits
    never = traits.elsewhere or traits.ability(Verb.ENABLE)
    body = {"id": bodies(service)[0]["id"], "name": "bare"}
    assert service.read(body) == ()
    if isinstance(never, Reason):
        wish = Wish(key=KeyId("kv.vault.azure.net", OTHER).at(None))
        found = plan(Facts(service, address_of(body["id"]), body, (), {}, NOW, None, wish=wish))
        assert [step.reason for step in found if isinstance(step, Blocked)] == [never]


@pytest.mark.parametrize("service", ALL)
def test_an_identity_that_a_caller_names_is_in_the_request_or_the_wish_is_refused(service: Service) -> None:
    for plain in bodies(service):
        body = {**plain, "identity": IDENTITY}
        for use in service.read(body):
            sent = []
            for who in ("", *IDENTITY["userAssignedIdentities"]):
                key = KeyId(use.configured.key.host, OTHER)
                wish = Wish(key=key.at(None), slot=use.slot, identity=who)
                known = facts(service, body, Version.KEEP)
                material = Material("RSA", 2048, WRAP_AND_UNWRAP | {"encrypt", "decrypt"})
                history = KeyHistory(key, (KeyVersion(NEXT, JUNE, material=material),), NEXT, NOW)
                steps = plan(replace(known, wish=wish, keys={**known.keys, key: history}))
                sent += [service.write(body, step.changes) for step in steps if isinstance(step, SetKeys)]
            assert all(one not in sent[:at] for at, one in enumerate(sent)), use.slot


IDENTITY: Json = {
    "type": "SystemAssigned, UserAssigned",
    "principalId": "1",
    "userAssignedIdentities": {
        f"/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{one}": {
            "principalId": one,
            "clientId": f"client-of-{one}",
        }
        for one in ("a", "b")
    },
}


@pytest.mark.parametrize("service", ALL)
def test_a_null_that_was_read_is_not_sent_to_a_merge_which_would_take_it_away(service: Service) -> None:
    for verb, body, edit in edits(service):
        for request in service.write(with_nulls(body), (edit,)):
            if request.method == "PATCH":
                assert "aNull" not in members(request.body), verb


def with_nulls(value: Any) -> Any:
    """Return the value with a null in each of its objects."""
    if isinstance(value, dict):
        return {**{name: with_nulls(one) for name, one in value.items()}, "aNull": None}
    return value


def members(value: Any) -> set[str]:
    """Return the names of members at any depth, those within lists left out."""
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(members(one) for one in value.values()))
