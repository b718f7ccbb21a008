"""Services with one key in a plain place, on the sandbox: the same story for each of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged
from tests.support.azure import MID, OLD, Azure, estate, on_azure, with_two_versions
from tests.support.moving import (
    ASSIGNED,
    UAI,
    URI,
    asked,
    changed,
    end_of,
    grant,
    in_effect,
    key,
    resource,
    snapshot,
    split,
    user_assigned,
    why,
    wished,
)
from tests.support.policies import allowing

KEYS = {"kv-main": [with_two_versions(size=2048), with_two_versions("other", size=2048)]}
ENCRYPTION = "/properties/encryption"
KEY = f"{ENCRYPTION}/keyVaultProperties"


class Case(Struct, frozen=True):
    """A type, its properties on an old version, and what a move changes in them."""

    type: str
    properties: dict[str, Any]
    moved: dict[str, Any]
    method: str = "PATCH"
    may: tuple[str, ...] = ("unproven",)
    certainty: Certainty = Certainty.CONFIGURED
    follows: bool = True
    goes_back: bool = True
    user_assigned: bool = False
    more: dict[str, Any] = {}

    def body(self) -> dict[str, Any]:
        identity = {"identity": user_assigned()} if self.user_assigned else {}
        return resource(
            self.type, "one1", {"provisioningState": "Succeeded", **self.properties}, **identity, **self.more
        )


def by_source(source: str, holder: dict[str, Any]) -> dict[str, Any]:
    return {"encryption": {"keySource": source, "keyVaultProperties": holder}}


CASES = (
    Case(
        "Microsoft.ContainerRegistry/registries",
        {"encryption": {"status": "enabled", "keyVaultProperties": {"keyIdentifier": key(OLD), "identity": None}}},
        {f"{KEY}/keyIdentifier": key(MID), f"{KEY}/versionedKeyIdentifier": key(MID)},
        certainty=Certainty.REPORTED,
        goes_back=False,
    ),
    Case(
        "Microsoft.Automation/automationAccounts",
        by_source("Microsoft.Keyvault", {"keyvaultUri": URI, "keyName": "cmk", "keyVersion": OLD}),
        {f"{KEY}/keyVersion": MID},
        follows=False,
    ),
    Case(
        "Microsoft.Batch/batchAccounts",
        by_source("Microsoft.KeyVault", {"keyIdentifier": key(OLD)}),
        {f"{KEY}/keyIdentifier": key(MID)},
    ),
    Case(
        "Microsoft.AppConfiguration/configurationStores",
        {"encryption": {"keyVaultProperties": {"keyIdentifier": key(OLD), "identityClientId": None}}},
        {f"{KEY}/keyIdentifier": key(MID)},
    ),
    Case(
        "Microsoft.Kusto/clusters",
        {"keyVaultProperties": {**split(OLD), "userIdentity": UAI}},
        {"/properties/keyVaultProperties/keyVersion": MID},
        user_assigned=True,
    ),
    Case(
        "Microsoft.OperationalInsights/clusters",
        {"keyVaultProperties": {**split(OLD), "keyRsaSize": 2048}},
        {"/properties/keyVaultProperties/keyVersion": MID},
    ),
    Case(
        "Microsoft.DataFactory/factories",
        {
            "encryption": {"vaultBaseUrl": URI, "keyName": "cmk", "keyVersion": OLD},
            "createTime": "2026-01-10T09:12:31Z",
        },
        {f"{ENCRYPTION}/keyVersion": MID},
        method="PUT",
        goes_back=False,
        may=("unproven", "put"),
        more={"eTag": '"1"'},
    ),
    Case(
        "Microsoft.DBforMySQL/flexibleServers",
        {
            "state": "Ready",
            "dataEncryption": {
                "type": "AzureKeyVault",
                "primaryKeyURI": key(OLD),
                "primaryUserAssignedIdentityId": UAI,
            },
        },
        {"/properties/dataEncryption/primaryKeyURI": key(MID)},
        user_assigned=True,
    ),
)


@pytest.fixture(params=CASES, ids=[case.type for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def described(one: dict[str, Any]) -> dict[str, Any]:
    found = estate(one, keys=KEYS)
    return {**found, "roleAssignments": [*found["roleAssignments"], grant(ASSIGNED)]}


def test_a_rotation_moves_it_by_one_request_that_changes_only_the_key(case: Case, tmp_path: Path) -> None:
    one = case.body()

    async def story(azure: Azure) -> None:
        before = snapshot(azure, one)
        await azure.check(one)
        await azure.drain(until=timedelta(minutes=15))
        assert asked(azure) == [f"{case.method} one1"]
        found = changed(azure, before)
        found.pop(f"{KEY}/lastKeyRotationTimestamp", None)
        found.pop("/eTag", None)
        assert found == case.moved
        assert set(in_effect(azure, one["id"]).values()) == {MID}
        end = end_of(azure, one["id"]).outcome
        assert isinstance(end, Converged)
        assert end.certainty is case.certainty

    on_azure(described(one), story, environ=allowing(tmp_path, *case.may))


def test_nothing_is_written_where_a_rule_allows_all_but_one_word(case: Case, tmp_path: Path) -> None:
    one = case.body()

    async def story(azure: Azure) -> None:
        assert why((await azure.check(one))[-1]) == {Reason.NOT_ALLOWED_BY_RULE}
        assert asked(azure) == []

    for missing in case.may:
        environ = allowing(tmp_path, *(word for word in case.may if word != missing))
        on_azure(described(one), story, environ=environ)


def test_a_rule_that_asks_for_following_is_heard_where_the_service_follows(case: Case, tmp_path: Path) -> None:
    one = case.body()

    async def story(azure: Azure) -> None:
        await azure.check(one)
        await azure.drain(until=timedelta(minutes=15))
        (*_, use) = end_of(azure, one["id"]).outcome.uses  # type: ignore[union-attr]  # of those that have uses
        assert use.follows is case.follows
        assert set(in_effect(azure, one["id"]).values()) == {MID}

    on_azure(described(one), story, environ=allowing(tmp_path, *case.may, version="follow"))


def test_going_back_is_done_where_the_service_goes_back_and_refused_elsewhere(case: Case, tmp_path: Path) -> None:
    one = case.body()

    async def story(azure: Azure) -> None:
        report = await wished(azure, one["id"], revert=True)
        if case.goes_back:
            assert isinstance(report.outcome, Converged)
            assert report.outcome.certainty is Certainty.NONE
            assert in_effect(azure, one["id"]) == {}
        else:
            assert why(report) in ({Reason.NO_WAY_BACK}, {Reason.CANNOT})
            assert asked(azure) == []

    on_azure(described(one), story, environ=allowing(tmp_path, *case.may, "irreversible"))


def test_a_mysql_server_goes_back_with_both_of_its_keys_at_once(tmp_path: Path) -> None:
    case = CASES[-1]
    one = case.body()
    one["properties"]["dataEncryption"] |= {"geoBackupKeyURI": key(OLD), "geoBackupUserAssignedIdentityId": UAI}

    async def story(azure: Azure) -> None:
        report = await wished(azure, one["id"], revert=True)
        assert isinstance(report.outcome, Converged)
        assert report.outcome.certainty is Certainty.NONE
        assert azure.body(one)["properties"]["dataEncryption"] == {"type": "SystemManaged"}
        assert asked(azure) == ["PATCH one1"]

    on_azure(described(one), story, environ=allowing(tmp_path, *case.may))


def test_the_key_for_backups_alone_does_not_go_back(tmp_path: Path) -> None:
    case = CASES[-1]
    one = case.body()
    one["properties"]["dataEncryption"] |= {"geoBackupKeyURI": key(OLD), "geoBackupUserAssignedIdentityId": UAI}

    async def story(azure: Azure) -> None:
        assert why(await wished(azure, one["id"], revert=True, slot="geoBackup")) == {Reason.CANNOT}
        assert asked(azure) == []

    on_azure(described(one), story, environ=allowing(tmp_path, *case.may))


def test_a_registry_has_a_word_of_its_own_for_the_system_assigned_identity(tmp_path: Path) -> None:
    case = CASES[0]
    one = case.body()

    async def story(azure: Azure) -> None:
        report = await wished(azure, one["id"], key=f"{URI}/keys/other", identity="system")
        assert isinstance(report.outcome, Converged)
        assert azure.body(one)["properties"]["encryption"]["keyVaultProperties"]["identity"] == "system"

    on_azure(described(one), story, environ=allowing(tmp_path, *case.may))
