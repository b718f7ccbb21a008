"""An identity that is gone reaches no key, whatever roles it leaves behind; nobody else is granted anything for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sandbox.arm.store import drop, save
from sandbox.faults import Faults
from shared.domain.preparation import GrantAccess
from shared.domain.reasons import Blocked, Reason
from shared.domain.report import Converged, Report
from shared.domain.work import Cause, CheckResource, CheckVault, Source
from shared.errors import Refusal
from shared.usecases.forms import UseKeyWish
from shared.usecases.wishes import put_or_plan, use_key_item
from tests.support.azure import MID, Azure, account, estate, on_azure, principal_of, scope, vault, with_two_versions
from tests.support.enforced import changes
from tests.support.enforcing import OTHER_UAI, UAI, user_assigned
from tests.support.moving import grant, resource
from tests.support.policies import PolicyFile

RESTORE = "  - name: all\n    rotation: fix\n    accessLost: restore\n    may: [grant]\n"
FOREIGN = UAI.replace("11111111-1111", "99999999-1111")


def principal(id_: str) -> str:
    return str(user_assigned(id_)["properties"]["principalId"])


def entry(id_: str) -> dict[str, str]:
    return {"principalId": principal(id_), "clientId": principal(id_).replace("9999", "8888", 1)}


def reached_by(id_: str) -> dict[str, Any]:
    """Return an account that has an identity of its own besides the one by which it reaches its key."""
    one = account("st1", MID)
    encryption = {**one["properties"]["encryption"], "identity": {"userAssignedIdentity": id_}}
    identity = {**one["identity"], "type": "SystemAssigned,UserAssigned", "userAssignedIdentities": {id_: entry(id_)}}
    return {**one, "identity": identity, "properties": {**one["properties"], "encryption": encryption}}


def granted(*resources: dict[str, Any], to: tuple[str, ...], **more: Any) -> dict[str, Any]:
    return {**estate(*resources, vault(), **more), "roleAssignments": [grant(one) for one in to]}


async def looked(azure: Azure, name: str = "st1", on: str = "kv-main") -> Report:
    """Have the app look at the users of a vault; return what came of one of them at last."""
    await asyncio.sleep(1)
    await azure.put(CheckVault(Cause("c", Source.EVENT), azure.time.now(), vault_id=str(vault(on)["id"])))
    await azure.drain()
    mine = [one for one in azure.reports if isinstance(one.item, CheckResource)]
    return [one for one in mine if one.address and one.address.arm.name == name][-1]


def lost(report: Report) -> str:
    """Return what is told of lost access, "" for nothing."""
    blocked: tuple[Blocked, ...] = getattr(report.outcome, "blocked", ())
    return " ".join(one.detail for one in blocked if one.reason is Reason.ACCESS_LOST)


@pytest.mark.parametrize("rules", [RESTORE, "  - name: all\n    rotation: fix\n"], ids=["restore", "report"])
def test_an_identity_that_was_deleted_is_told_of_though_its_role_is_still_there(tmp_path: Path, rules: str) -> None:
    one = reached_by(UAI)

    async def story(azure: Azure) -> None:
        assert lost(await looked(azure)) == ""
        drop(azure.world, UAI)
        assert f"the identity {UAI} is not there any more" in lost(await looked(azure))
        assert changes(azure) == []

    described = granted(one, user_assigned(), to=(principal(UAI),))
    on_azure(described, story, environ=PolicyFile(tmp_path, rules).environ)


def test_an_identity_in_a_subscription_that_the_app_does_not_read_counts_as_there() -> None:
    async def story(azure: Azure) -> None:
        assert lost(await looked(azure)) == ""
        assert not [line for line in azure.world.log if "99999999-1111" in line.url]

    on_azure(granted(reached_by(FOREIGN), to=(principal(FOREIGN),)), story)


def test_one_that_may_not_be_read_counts_as_there_and_its_grants_as_ever() -> None:
    async def story(azure: Azure) -> None:
        faults = Faults(lambda _call: "other")
        faults.put([{"match": {"path": "/id-cmk$"}, "do": {"status": 403, "code": "AuthorizationFailed"}}])
        faults.install(azure.world)
        assert lost(await looked(azure)) == ""

    on_azure(granted(reached_by(UAI), user_assigned(), to=(principal(UAI),)), story)


def test_for_one_that_was_taken_off_the_resource_nobody_else_is_granted_anything(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        body = azure.body(account("st1"))
        save(azure.world, {**body, "identity": account("st1")["identity"]})
        assert f"does not have the identity {UAI.lower()} any more" in lost(await looked(azure))
        assert changes(azure) == []

    described = granted(reached_by(UAI), user_assigned(), to=(principal(UAI),))
    on_azure(described, story, environ=PolicyFile(tmp_path, RESTORE).environ)


def test_a_resource_without_any_identity_is_told_of_and_what_lies_below_it_too(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        save(azure.world, {**azure.body(account("st1")), "identity": {"type": "None"}})
        assert "the resource has no identity any more" in lost(await looked(azure))
        told = [one["type"] for one in azure.outcomes() if "/encryptionscopes/one" in str(one).lower()]
        assert told == ["CmkAutopilot.Report.Stopped"]
        assert changes(azure) == []

    described = granted(account("st1", MID), scope("st1", "one", MID), to=(principal_of("st1"),))
    on_azure(described, story, environ=PolicyFile(tmp_path, RESTORE).environ)


def test_a_wish_for_another_key_is_answered_at_once_unless_it_names_an_identity_that_is_there() -> None:
    other = {"kv-main": [with_two_versions(), with_two_versions("other")]}

    async def story(azure: Azure) -> None:
        drop(azure.world, UAI)
        wish = UseKeyWish(str(account("st1")["id"]), "https://kv-main.vault.azure.net/keys/other")
        cause = Cause("c", Source.HTTP)
        with pytest.raises(Refusal, match="is not there any more"):
            await put_or_plan(azure.app.context, use_key_item(wish, cause, azure.time.now()), dry_run=False)
        assert changes(azure) == []
        item = use_key_item(replace(wish, identity="system"), cause, azure.time.now())
        await put_or_plan(azure.app.context, item, dry_run=False)
        assert [type(one.outcome) for one in await azure.drain()] == [Converged]

    described = granted(reached_by(UAI), user_assigned(), to=(principal(UAI), principal_of("st1")), keys=other)
    on_azure(described, story)


PAIRED = "https://kv-paired.vault.azure.net/keys/cmk"
KEYS = {"kv-main": [with_two_versions()], "kv-paired": [with_two_versions()]}
BOTH = {"type": "UserAssigned", "userAssignedIdentities": {OTHER_UAI: entry(OTHER_UAI), UAI: entry(UAI)}}


def server() -> dict[str, Any]:
    """Return a server whose two keys are reached by one identity each."""
    data = {
        "type": "AzureKeyVault",
        "primaryKeyURI": f"https://kv-main.vault.azure.net/keys/cmk/{MID}",
        "primaryUserAssignedIdentityId": UAI,
        "geoBackupKeyURI": f"{PAIRED}/{MID}",
        "geoBackupUserAssignedIdentityId": OTHER_UAI,
    }
    properties = {"state": "Ready", "version": "16", "dataEncryption": data}
    return resource("Microsoft.DBforPostgreSQL/flexibleServers", "pg1", properties, identity=BOTH)


def namespace() -> dict[str, Any]:
    """Return a namespace of which the same is so."""
    both = [("kv-main", UAI), ("kv-paired", OTHER_UAI)]
    listed = [
        {
            "keyName": "cmk",
            "keyVaultUri": f"https://{on}.vault.azure.net",
            "keyVersion": MID,
            "identity": {"userAssignedIdentity": id_},
        }
        for on, id_ in both
    ]
    encryption = {"keySource": "Microsoft.KeyVault", "keyVaultProperties": listed}
    properties = {"provisioningState": "Succeeded", "encryption": encryption}
    return resource("Microsoft.EventHub/namespaces", "pg1", properties, identity=BOTH, sku={"name": "Premium"})


@pytest.mark.parametrize("one", [server(), namespace()], ids=["a server", "a namespace"])
@pytest.mark.parametrize(("on", "who"), [("kv-main", UAI), ("kv-paired", OTHER_UAI)])
def test_of_several_keys_each_is_judged_and_granted_again_for_the_identity_that_reaches_that_one(
    tmp_path: Path, one: dict[str, Any], on: str, who: str
) -> None:
    described = estate(
        one, vault(), vault("kv-paired"), user_assigned(), user_assigned(OTHER_UAI), keys=KEYS, denied=("pg1",)
    )
    held = {"kv-main": UAI, "kv-paired": OTHER_UAI}
    described["roleAssignments"] = [grant(principal(id_), vault_) for vault_, id_ in held.items() if vault_ != on]

    async def story(azure: Azure) -> None:
        report = await looked(azure, "pg1", on)
        (done,) = [one for each in azure.reports for one in each.did]
        assert isinstance(done.step, GrantAccess)
        assert (done.step.principal, done.step.vault) == (principal(who), str(vault(on)["id"]))
        assert lost(report) == ""

    on_azure(described, story, environ=PolicyFile(tmp_path, RESTORE).environ)
