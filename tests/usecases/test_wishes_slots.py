"""A wish for another key of a resource with several: which one is meant must be said, or they would become one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.reasons import Reason
from shared.domain.report import Converged
from shared.domain.work import Cause, Source
from shared.errors import Refusal
from shared.usecases.forms import UseKeyWish
from shared.usecases.wishes import put_or_plan, use_key_item
from tests.support.azure import MID, NEW, Azure, estate, on_azure, vault, version, with_two_versions
from tests.support.enforced import changes
from tests.support.moving import URI, grant, resource, wished
from tests.support.policies import allowing

KEYS = {"kv-main": [*map(with_two_versions, ("one", "two")), {"name": "other", "versions": [version(NEW)]}]}


def namespace(*names: str) -> dict[str, Any]:
    """Return a namespace with these keys, which stand in for each other."""
    listed = [{"keyName": name, "keyVaultUri": URI, "keyVersion": NEW if name == "other" else MID} for name in names]
    encryption = {"keySource": "Microsoft.KeyVault", "keyVaultProperties": listed}
    properties = {"provisioningState": "Succeeded", "encryption": encryption}
    return resource("Microsoft.EventHub/namespaces", "ehn", properties, sku={"name": "Premium"})


def described(one: dict[str, Any]) -> dict[str, Any]:
    return {**estate(one, vault(), keys=KEYS), "roleAssignments": [grant(one["identity"]["principalId"])]}


def keys_of(azure: Azure, one: dict[str, Any]) -> list[str]:
    return [each["keyName"] for each in azure.body(one)["properties"]["encryption"]["keyVaultProperties"]]


@pytest.mark.parametrize("dry_run", [True, False])
def test_without_a_slot_it_is_refused_and_told_which_there_are(tmp_path: Path, *, dry_run: bool) -> None:
    one = namespace("one", "two")

    async def story(azure: Azure) -> None:
        item = use_key_item(UseKeyWish(one["id"], f"{URI}/keys/other"), Cause("c", Source.HTTP), azure.time.now())
        if dry_run:
            (step,) = (await put_or_plan(azure.app.context, item, dry_run=True))["steps"]
            assert step.reason is Reason.BAD_REQUEST
            assert f"keyVaultProperties[1] ({URI}/keys/two)" in step.detail
            return
        with pytest.raises(Refusal, match="several keys"):
            await put_or_plan(azure.app.context, item, dry_run=False)
        await azure.put(item)
        await azure.drain(until=timedelta(hours=1))
        assert (keys_of(azure, one), changes(azure)) == (["one", "two"], [])

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven", "irreversible"))


@pytest.mark.parametrize(
    ("names", "slot", "then"),
    [
        (("one", "two"), "keyVaultProperties[1]", ["one", "other"]),
        (("one",), "", ["other"]),
        (("one", "other"), "", ["other", "other"]),
    ],
    ids=["the slot", "the only one", "all that is left"],
)
def test_what_is_meant_is_done_and_nothing_else(
    tmp_path: Path, names: tuple[str, ...], slot: str, then: list[str]
) -> None:
    one = namespace(*names)

    async def story(azure: Azure) -> None:
        report = await wished(azure, str(one["id"]), key=f"{URI}/keys/other", slot=slot)
        assert isinstance(report.outcome, Converged), report.outcome
        assert keys_of(azure, one) == then

    on_azure(described(one), story, environ=allowing(tmp_path, "unproven", "irreversible"))
