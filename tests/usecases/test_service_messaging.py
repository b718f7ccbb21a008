"""Event Hubs and Service Bus namespaces on the sandbox."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged
from shared.services.registry import service_for
from tests.support.azure import MID, OLD, Azure, estate, on_azure, with_two_versions
from tests.support.moving import URI, asked, changed, end_of, in_effect, resource, snapshot, split, why, wished
from tests.support.policies import allowing

KEYS = {"kv-main": [with_two_versions(name) for name in ("cmk", "spare", "third")]}
LIST = "/properties/encryption/keyVaultProperties"


@pytest.fixture(params=["Microsoft.EventHub/namespaces", "Microsoft.ServiceBus/namespaces"])
def namespace(request: pytest.FixtureRequest) -> dict[str, Any]:
    several = [split(OLD), {"keyName": "spare", "keyVaultUri": f"{URI}/"}, split(MID, "third")]
    encryption = {
        "keySource": "Microsoft.KeyVault",
        "keyVaultProperties": several,
        "requireInfrastructureEncryption": True,
    }
    properties = {"provisioningState": "Succeeded", "encryption": encryption, "zoneRedundant": True}
    return resource(request.param, "ns1", properties, sku={"name": "Premium", "capacity": 1})


def described(one: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an estate in which the namespace may also list the keys."""
    found = estate(one, keys=KEYS, **more)
    reader = "21090545-7ca7-4776-b22c-e363652d74d2"  # Key Vault Reader
    return {
        **found,
        "roleAssignments": [*found["roleAssignments"], {**found["roleAssignments"][0], "roleDefinitionId": reader}],
    }


def test_the_one_entry_that_is_behind_moves_and_the_others_are_sent_again(namespace: Any, tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        before = snapshot(azure, namespace)
        await azure.check(namespace)
        assert asked(azure) == ["PATCH ns1"]
        assert changed(azure, before) == {f"{LIST}/0/keyVersion": MID}
        assert set(in_effect(azure, namespace["id"]).values()) == {MID}
        await azure.drain(until=timedelta(hours=4))
        end = end_of(azure, namespace["id"]).outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.UNKNOWN  # one entry follows, and nothing says what is in effect
        assert asked(azure) == ["PATCH ns1"]

    on_azure(described(namespace), story, environ=allowing(tmp_path, "unproven"))


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        ({"keyVaultUri": "https://kv-theirs.vault.azure.net/", "keyName": "theirs"}, Reason.VAULT_NOT_KNOWN),
        ({"keyVaultUri": "https://theirs.managedhsm.azure.net", "keyName": "theirs"}, Reason.MANAGED_HSM),
    ],
)
def test_an_entry_that_the_app_cannot_judge_is_carried_along_and_told_of(
    namespace: Any, tmp_path: Path, theirs: dict[str, str], reason: Reason
) -> None:
    kept = {**theirs, "keyVersion": OLD, "aNew": {"member": None}}
    namespace["properties"]["encryption"]["keyVaultProperties"] = [split(OLD), kept, split(OLD, "third")]

    async def story(azure: Azure) -> None:
        before = snapshot(azure, namespace)
        reports = await azure.check(namespace)
        assert why(reports[-1]) == {reason}
        assert "keyVaultProperties[1]" in str(reports[-1].outcome)
        assert changed(azure, before) == {f"{LIST}/0/keyVersion": MID, f"{LIST}/2/keyVersion": MID}
        assert in_effect(azure, namespace["id"])["properties.encryption.keyVaultProperties[].2"] == MID

    on_azure(described(namespace), story, environ=allowing(tmp_path, "unproven"))


@pytest.mark.parametrize("empty", [None, {}, {"keyName": "", "keyVaultUri": None}])
def test_an_entry_that_names_nothing_is_no_key(namespace: Any, empty: Any) -> None:
    namespace["properties"]["encryption"]["keyVaultProperties"] = [split(OLD), empty, split(OLD, "third")]
    service = service_for(namespace["type"])
    assert service is not None
    assert [use.slot for use in service.read(namespace)] == ["keyVaultProperties[0]", "keyVaultProperties[2]"]


def test_keys_in_a_form_that_is_not_known_are_told_of(namespace: Any, tmp_path: Path) -> None:
    namespace["properties"]["encryption"]["keyVaultProperties"] = split(OLD)

    async def story(azure: Azure) -> None:
        assert why((await azure.check(namespace))[-1]) == {Reason.KEY_UNREADABLE}

    on_azure(described(namespace), story, environ=allowing(tmp_path, "unproven"))


def test_entries_that_are_all_pinned_end_as_configured(namespace: Any, tmp_path: Path) -> None:
    namespace["properties"]["encryption"]["keyVaultProperties"] = [split(OLD), split(OLD, "spare")]

    async def story(azure: Azure) -> None:
        reports = await azure.check(namespace)
        assert isinstance(reports[-1].outcome, Converged)
        assert reports[-1].outcome.certainty is Certainty.CONFIGURED
        assert set(in_effect(azure, namespace["id"]).values()) == {MID}

    on_azure(described(namespace), story, environ=allowing(tmp_path, "unproven"))


def test_nothing_is_written_where_no_rule_allows_what_is_unproven(namespace: Any, tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(namespace)
        await azure.drain(until=timedelta(hours=4))
        assert why(end_of(azure, namespace["id"])) == {Reason.NOT_ALLOWED_BY_RULE}
        assert asked(azure) == []

    on_azure(described(namespace), story, environ=allowing(tmp_path))


def test_a_rule_that_asks_for_following_leaves_no_version_behind(namespace: Any, tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        before = snapshot(azure, namespace)
        await azure.check(namespace)
        assert changed(azure, before) == {f"{LIST}/0/keyVersion": "", f"{LIST}/2/keyVersion": ""}
        assert set(in_effect(azure, namespace["id"]).values()) == {MID}

    on_azure(described(namespace), story, environ=allowing(tmp_path, "unproven", version="follow"))


def test_an_identity_without_rights_is_waited_for(namespace: Any, tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        reports = await azure.check(namespace)
        assert why(reports[-1]) == {Reason.KEY_ACCESS_DENIED}

    found = estate(namespace, keys=KEYS, denied=("ns1",))
    on_azure(found, story, environ=allowing(tmp_path, "unproven"))


def test_an_empty_namespace_begins_to_use_a_key_where_a_rule_allows_what_is_irreversible(
    namespace: Any, tmp_path: Path
) -> None:
    del namespace["properties"]["encryption"]

    async def story(azure: Azure) -> None:
        assert why(await wished(azure, namespace["id"], key=f"{URI}/keys/cmk")) == {Reason.NOT_ALLOWED_BY_RULE}
        azure.environ |= allowing(tmp_path, "unproven", "irreversible")
        azure.app = azure.instance()
        began = await wished(azure, namespace["id"], key=f"{URI}/keys/cmk")
        assert isinstance(began.outcome, Converged)
        assert set(in_effect(azure, namespace["id"]).values()) == {MID}
        assert why(await wished(azure, namespace["id"], revert=True)) == {Reason.NO_WAY_BACK}

    on_azure(described(namespace), story, environ=allowing(tmp_path, "unproven"))
