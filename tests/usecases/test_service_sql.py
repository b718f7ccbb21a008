"""The encryption protectors of SQL servers and managed instances on the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as with_
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Report
from tests.support.azure import MID, NEW, OLD, Azure, estate, on_azure, version
from tests.support.moving import asked, changed, end_of, in_effect, key, resource, snapshot, why, wished
from tests.support.policies import allowing

SERVERS, INSTANCES = "Microsoft.Sql/servers", "Microsoft.Sql/managedInstances"


def name(version: str) -> str:
    return f"kv-main_cmk_{version}"


def server(called: str, type_: str = SERVERS) -> dict[str, Any]:
    return resource(type_, called, {"administratorLogin": "dba", "state": "Ready"})


def server_key(of: dict[str, Any], version: str) -> dict[str, Any]:
    properties = {"serverKeyType": "AzureKeyVault", "uri": key(version)}
    kind = f"{of['type']}/keys"
    return {"id": f"{of['id']}/keys/{name(version)}", "type": kind, "name": name(version), "properties": properties}


def protector(of: dict[str, Any], version: str = OLD, *, auto: bool = False) -> dict[str, Any]:
    properties = {"serverKeyType": "AzureKeyVault", "serverKeyName": name(version), "autoRotationEnabled": auto}
    type_, id_ = f"{of['type']}/encryptionProtector", f"{of['id']}/encryptionProtector/current"
    return {"id": id_, "name": "current", "type": type_, "location": "westeurope", "properties": properties}


def protected(*servers: dict[str, Any], auto: bool = False) -> list[dict[str, Any]]:
    return [
        *servers,
        *(server_key(one, OLD) for one in servers),
        *(protector(one, auto=auto) for one in servers),
    ]


def ended(azure: Azure, one: dict[str, Any]) -> Report:
    return end_of(azure, f"{one['id']}/encryptionProtector/current")


@pytest.mark.parametrize("type_", [SERVERS, INSTANCES])
def test_a_rotation_gives_the_server_the_key_and_then_moves_the_protector(type_: str, tmp_path: Path) -> None:
    one = server("sql1", type_)
    current = protector(one)

    async def story(azure: Azure) -> None:
        before = snapshot(azure, current)
        untouched = snapshot(azure, one)
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=10))
        assert asked(azure) == [f"PUT {name(MID)}", "PUT current"]
        assert in_effect(azure, current["id"]).popitem()[1] == MID
        paths = changed(azure, before)
        assert paths.pop("/properties/thumbprint")
        assert paths == {"/properties/serverKeyName": name(MID), "/properties/uri": key(MID)}
        assert changed(azure, untouched) == {}
        await azure.check(current)
        end = ended(azure, one).outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.REPORTED

    on_azure(estate(*protected(one)), story, environ=allowing(tmp_path, "unproven", "put"))


@pytest.mark.parametrize("may", [(), ("unproven",), ("put",)])
def test_nothing_is_written_where_no_rule_allows_it(may: tuple[str, ...], tmp_path: Path) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        await azure.check(protector(one))
        assert why(ended(azure, one)) == {Reason.NOT_ALLOWED_BY_RULE}
        assert asked(azure) == []

    on_azure(estate(*protected(one)), story, environ=allowing(tmp_path, *may))


def test_a_server_is_never_said_to_lack_a_key_that_its_protector_holds_and_leads_there(tmp_path: Path) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        await azure.check(one)
        await azure.drain(until=timedelta(minutes=10))
        end = end_of(azure, one["id"]).outcome
        assert isinstance(end, Converged)
        assert end.through == (f"{one['id']}/encryptionProtector/current",)
        assert in_effect(azure, end.through[0]).popitem()[1] == MID

    on_azure(estate(*protected(one)), story, environ=allowing(tmp_path, "unproven", "put"))


@pytest.mark.parametrize("wish", [{"revert": True}, {"key": key("")}, {"version": Version.FOLLOW}])
def test_a_wish_for_a_server_is_told_that_its_protector_has_the_key(wish: dict[str, Any], tmp_path: Path) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        assert why(await wished(azure, one["id"], **wish)) == {Reason.KEY_IS_BELOW}
        assert asked(azure) == []

    on_azure(estate(*protected(one)), story, environ=allowing(tmp_path, "unproven", "put"))


def test_two_servers_that_replicate_give_each_other_the_key_first_and_both_move(tmp_path: Path) -> None:
    one, two = server("sql1"), server("sql2")
    type_ = f"{SERVERS}/failoverGroups"
    partners = {"partnerServers": [{"id": two["id"]}]}
    both = {"id": f"{one['id']}/failoverGroups/both", "name": "both", "type": type_, "properties": partners}

    async def story(azure: Azure) -> None:
        await azure.check(protector(one))
        assert why(ended(azure, one)) == {Reason.PARTNER_FIRST}
        assert in_effect(azure, protector(one)["id"]).popitem()[1] == OLD
        await azure.check(protector(two))
        await azure.drain(until=timedelta(minutes=30))
        for server_ in (one, two):
            assert isinstance(ended(azure, server_).outcome, Converged)
            assert in_effect(azure, protector(server_)["id"]).popitem()[1] == MID

    on_azure(estate(*protected(one, two), both), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_partner_that_never_gets_the_key_is_given_up_after_a_day(tmp_path: Path) -> None:
    one, two = server("sql1"), server("sql2")
    type_ = f"{SERVERS}/failoverGroups"
    partners = {"partnerServers": [{"id": two["id"]}]}
    both = {"id": f"{one['id']}/failoverGroups/both", "name": "both", "type": type_, "properties": partners}

    async def story(azure: Azure) -> None:
        await azure.check(protector(one))
        await azure.drain(until=timedelta(hours=26))
        assert why(ended(azure, one)) == {Reason.PARTNER_FIRST}
        assert azure.waiting() == []
        assert in_effect(azure, protector(one)["id"]).popitem()[1] == OLD

    resources = [one, two, both, server_key(one, OLD), server_key(two, OLD), protector(one)]
    on_azure(estate(*resources), story, environ=allowing(tmp_path, "unproven", "put"))


def test_an_operation_that_fails_is_told_and_the_old_protector_stays(tmp_path: Path) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        azure.world.memory["operationFate"] = {"do": "fail", "seconds": 30, "code": "AzureKeyVaultMissingPermissions"}
        await azure.check(protector(one))
        await azure.drain(until=timedelta(seconds=100))
        assert why(ended(azure, one)) == {Reason.KEY_ACCESS_DENIED}
        assert in_effect(azure, protector(one)["id"]).popitem()[1] == OLD
        await azure.drain(until=timedelta(minutes=10))
        assert isinstance(ended(azure, one).outcome, Converged)

    on_azure(estate(*protected(one)), story, environ=allowing(tmp_path, "unproven", "put"))


def between_the_two(happening: Callable[[], None], latency: float = 0.0) -> Hooks:
    """Let something happen after the server got the key and before the protector moves."""

    def after(call: Call, answer: Answer) -> Answer:
        if call.method != "PUT" or f"/keys/{name(MID)}" not in call.path:
            return answer
        happening()
        return with_(answer, latency=latency)

    return Hooks(after=after)


def new_version(azure: Azure) -> None:
    found = azure.world.keyring.get("kv-main", "cmk")
    assert found is not None
    now = azure.world.now()
    found.versions.append(type(found.latest)(NEW, now, now, modulus=found.latest.modulus))


def test_writing_that_is_switched_off_between_two_requests_of_a_change_stops_the_second(tmp_path: Path) -> None:
    one = server("sql1")
    environ = allowing(tmp_path, "unproven", "put")

    async def story(azure: Azure) -> None:
        azure.world.hooks = between_the_two(lambda: azure.environ.update(CMK_WRITES="off"))
        reports = await azure.check(protector(one))
        assert asked(azure) == [f"PUT {name(MID)}"]
        assert why(reports[-1]) == {Reason.WRITES_OFF}
        assert reports[-1].wrote == ()
        azure.world.hooks = Hooks()
        azure.environ.update(CMK_WRITES="on")
        await azure.drain(until=timedelta(minutes=30))
        assert in_effect(azure, protector(one)["id"]).popitem()[1] == MID

    on_azure(estate(*protected(one)), story, environ=environ)


def test_what_is_old_when_the_first_request_of_a_change_is_answered_is_looked_at_again(tmp_path: Path) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        azure.world.hooks = between_the_two(lambda: new_version(azure), latency=8.0)
        await azure.check(protector(one))
        await azure.drain(until=timedelta(minutes=10))
        assert asked(azure) == [f"PUT {name(MID)}", f"PUT {name(NEW)}", "PUT current"]
        assert in_effect(azure, protector(one)["id"]).popitem()[1] == NEW

    on_azure(estate(*protected(one)), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_first_request_that_takes_long_is_not_sent_again_when_nothing_else_has_changed(tmp_path: Path) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        azure.world.hooks = between_the_two(lambda: None, latency=8.0)
        await azure.check(protector(one))
        assert asked(azure) == [f"PUT {name(MID)}", "PUT current"]

    on_azure(estate(*protected(one)), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_change_that_ended_and_does_not_show_is_neither_sent_nor_noted_again(tmp_path: Path) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        before = snapshot(azure, protector(one))
        azure.world.memory["operationFate"] = {"seconds": 20}
        first = await azure.check(protector(one))
        assert [len(report.wrote) for report in first] == [1]
        azure.world.hooks = Hooks(before=lambda call: shown(call, before))
        await azure.drain(until=timedelta(seconds=40))
        assert why(ended(azure, one)) == {Reason.NOT_YET_IN_EFFECT}
        assert ended(azure, one).wrote == ()
        assert asked(azure) == [f"PUT {name(MID)}", "PUT current"]

    def shown(call: Call, body: dict[str, Any]) -> Answer | None:
        protectors = call.method == "GET" and call.path.endswith("/encryptionProtector/current")
        return Answer.of(body) if protectors else None

    on_azure(estate(*protected(one)), story, environ=allowing(tmp_path, "unproven", "put"))


def test_an_operation_that_nobody_can_tell_of_for_long_is_not_waited_for_while_the_server_can_move(
    tmp_path: Path,
) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        azure.world.memory["operationFate"] = {"do": "fail", "seconds": 30}  # its Location answers 500 from then on
        await azure.check(protector(one))
        await azure.drain(until=timedelta(hours=2))
        assert isinstance(ended(azure, one).outcome, Converged)
        assert in_effect(azure, protector(one)["id"]).popitem()[1] == MID

    on_azure(estate(*protected(one)), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_server_without_rights_on_the_key_waits_for_the_grant(tmp_path: Path) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        reports = await azure.check(protector(one))
        assert why(reports[-1]) == {Reason.KEY_ACCESS_DENIED}
        assert asked(azure) == [f"PUT {name(MID)}"]

    on_azure(estate(*protected(one), denied=("sql1",)), story, environ=allowing(tmp_path, "unproven", "put"))


def test_with_automatic_rotation_nothing_is_written_and_the_new_version_is_verified(tmp_path: Path) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        found = azure.world.keyring.get("kv-main", "cmk")
        assert found is not None
        now = azure.world.now()
        found.versions.append(type(found.latest)(NEW, now, now, modulus=found.latest.modulus))
        await azure.check(protector(one))
        assert why(ended(azure, one)) == {Reason.FOLLOWS_BY_ITSELF}
        await azure.drain(until=timedelta(hours=26))
        assert asked(azure) == []
        end = ended(azure, one).outcome
        assert isinstance(end, Converged)
        assert (end.certainty, end.uses[0].effective) == (Certainty.REPORTED, NEW)

    on_azure(estate(*protected(one, auto=True)), story, environ=allowing(tmp_path, "unproven", "put"))


def test_automatic_rotation_is_switched_on_and_off_as_the_rule_says(tmp_path: Path) -> None:
    for auto, word in ((False, "follow"), (True, "pin")):
        one = server("sql1")

        async def story(azure: Azure, one: dict[str, Any] = one, auto: bool = auto) -> None:  # noqa: FBT001  a case
            await azure.check(protector(one))
            await azure.drain(until=timedelta(minutes=10))
            properties = azure.body(protector(one))["properties"]
            assert properties["autoRotationEnabled"] is not auto
            assert properties["uri"] == key(MID)

        environ = allowing(tmp_path, "unproven", "put", version=word)
        on_azure(estate(*protected(one, auto=auto)), story, environ=environ)


def test_a_server_on_the_services_own_key_is_told_of_and_left_alone(tmp_path: Path) -> None:
    one = server("sql1")

    async def story(azure: Azure) -> None:
        reports = await azure.check(protector(one))
        assert reports[-1].reasons == (Reason.NOT_ENCRYPTED,)
        assert asked(azure) == []

    on_azure(estate(one), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_server_begins_to_use_a_key_moves_to_another_one_and_goes_back_as_callers_wish(tmp_path: Path) -> None:
    one = server("sql1")
    id_ = protector(one)["id"]
    keys = {"kv-main": [{"name": name, "versions": [version(OLD)]} for name in ("cmk", "other")]}

    async def story(azure: Azure) -> None:
        began = await wished(azure, id_, key=key(""))
        assert isinstance(began.outcome, Converged)
        assert azure.body(protector(one))["properties"]["uri"] == key(OLD)
        await wished(azure, id_, key=key("", "other"))
        assert azure.body(protector(one))["properties"]["uri"] == key(OLD, "other")
        back = await wished(azure, id_, revert=True)
        assert isinstance(back.outcome, Converged)
        assert azure.body(protector(one))["properties"]["serverKeyType"] == "ServiceManaged"
        assert in_effect(azure, id_) == {}

    resources = [one, {**protector(one), "properties": {"serverKeyType": "ServiceManaged"}}]
    on_azure(estate(*resources, keys=keys), story, environ=allowing(tmp_path, "unproven", "put"))
