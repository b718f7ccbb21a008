"""PostgreSQL flexible servers on the sandbox."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged
from tests.support.azure import MID, OLD, Azure, estate, on_azure, vault, with_two_versions
from tests.support.keyed import script
from tests.support.moving import (
    ASSIGNED,
    UAI,
    asked,
    changed,
    end_of,
    grant,
    in_effect,
    key,
    resource,
    snapshot,
    user_assigned,
    why,
)
from tests.support.policies import allowing

HISTORY = [with_two_versions()]
DATA = "/properties/dataEncryption"
PAIRED = "https://kv-paired.vault.azure.net/keys/cmk"


def server(primary: str = OLD, geo: str = OLD, **properties: Any) -> dict[str, Any]:
    data = {
        "type": "AzureKeyVault",
        "primaryKeyURI": key(primary),
        "primaryUserAssignedIdentityId": UAI,
        "geoBackupKeyURI": f"{PAIRED}/{geo}",
        "geoBackupUserAssignedIdentityId": UAI,
    }
    properties = {"state": "Ready", "version": "16", "dataEncryption": data, **properties}
    return resource("Microsoft.DBforPostgreSQL/flexibleServers", "pg1", properties, identity=user_assigned())


def described(one: dict[str, Any]) -> dict[str, Any]:
    found = estate(one, vault(), vault("kv-paired", location="x"), keys={"kv-main": HISTORY, "kv-paired": HISTORY})
    return {**found, "roleAssignments": [grant(ASSIGNED), grant(ASSIGNED, "kv-paired")]}


def test_both_keys_move_in_one_change_and_nothing_else_does(tmp_path: Path) -> None:
    one = server()

    async def story(azure: Azure) -> None:
        before = snapshot(azure, one)
        await azure.check(one)
        assert why(end_of(azure, one["id"])) == {Reason.OPERATION_GOING_ON}
        await azure.drain(until=timedelta(minutes=10))
        assert asked(azure) == ["PATCH pg1"]
        assert changed(azure, before) == {
            f"{DATA}/primaryKeyURI": key(MID),
            f"{DATA}/geoBackupKeyURI": f"{PAIRED}/{MID}",
        }
        assert set(in_effect(azure, one["id"]).values()) == {MID}
        end = end_of(azure, one["id"]).outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.CONFIGURED

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven"))


def test_nothing_is_written_where_no_rule_allows_what_is_unproven(tmp_path: Path) -> None:
    one = server()

    async def story(azure: Azure) -> None:
        assert why((await azure.check(one))[-1]) == {Reason.NOT_ALLOWED_BY_RULE}
        assert asked(azure) == []

    on_azure(described(one), story, environ=allowing(tmp_path))


def test_an_operation_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    one = server()

    async def story(azure: Azure) -> None:
        before = snapshot(azure, one)
        script(azure, do="fail", seconds=30, code="KeyVaultAccessForbidden")
        await azure.check(one)
        await azure.drain(until=timedelta(minutes=1))
        assert Reason.KEY_ACCESS_DENIED in {reason for report in azure.reports for reason in report.reasons}
        assert changed(azure, before) == {}
        await azure.drain(until=timedelta(minutes=30))  # what failed once is tried again
        assert isinstance(end_of(azure, one["id"]).outcome, Converged)

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven"))


def test_a_stopped_server_is_not_written(tmp_path: Path) -> None:
    one = server(state="Stopped")

    async def story(azure: Azure) -> None:
        assert why((await azure.check(one))[-1]) == {Reason.PROVISIONING_FAILED}
        assert asked(azure) == []

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven"))


def test_a_server_that_is_being_changed_is_waited_for(tmp_path: Path) -> None:
    one = server(state="Updating")

    async def story(azure: Azure) -> None:
        assert why((await azure.check(one))[-1]) == {Reason.PROVISIONING}
        assert asked(azure) == []

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven"))


def test_a_key_in_another_tenant_is_left_alone_and_the_other_key_moves(tmp_path: Path) -> None:
    one = server()
    one["properties"]["dataEncryption"]["primaryFederatedIdentityClientId"] = "88888888-0000-4000-8000-000000000000"

    async def story(azure: Azure) -> None:
        before = snapshot(azure, one)
        await azure.check(one)
        await azure.drain(until=timedelta(minutes=10))
        assert changed(azure, before) == {f"{DATA}/geoBackupKeyURI": f"{PAIRED}/{MID}"}
        assert why(end_of(azure, one["id"])) == {Reason.CROSS_TENANT}

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven"))


def test_following_is_asked_for_by_leaving_the_versions_out(tmp_path: Path) -> None:
    one = server()

    async def story(azure: Azure) -> None:
        await azure.check(one)
        await azure.drain(until=timedelta(hours=5))
        data = azure.body(one)["properties"]["dataEncryption"]
        assert (data["primaryKeyURI"], data["geoBackupKeyURI"]) == (key(""), PAIRED)
        assert set(in_effect(azure, one["id"]).values()) == {MID}
        end = end_of(azure, one["id"]).outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.UNKNOWN

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven", version="follow"))
