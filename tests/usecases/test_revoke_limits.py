"""What a revocation leaves alone though a rule allows it, looked at by the work itself: the door may be passed by."""

from __future__ import annotations

from base64 import b64decode
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shared.domain.reasons import Reason
from shared.domain.report import Stopped
from shared.domain.revocation import Revoked
from shared.domain.work import Cause, RevokeAccess, Source, decode
from shared.errors import Refusal
from tests.support.azure import Azure, account, estate, group, on_azure, vault
from tests.support.enforced import changes
from tests.support.enforcing import user_assigned
from tests.support.policies import PolicyFile
from tests.support.revoking import RULE, UAI_PRINCIPAL, allowed, granted, revoked, shared, wished

ONE = account("st1")
RESTORED = RULE.replace("revoke]", "revoke, grant]") + "    accessLost: restore\n"
ELSEWHERE = group().replace("rg-data", "rg-vaults")


def moved(body: dict[str, Any], to: str = ELSEWHERE) -> dict[str, Any]:
    """Return a body in another resource group."""
    return {**body, "id": str(body["id"]).replace(group(), to)}


def asked(azure: Azure, one: dict[str, Any], **more: Any) -> RevokeAccess:
    """Return the work as it lies on the queue."""
    now = azure.time.now()
    return RevokeAccess(azure.address(one), Cause("c", Source.HTTP), now, now, **more)


async def left(azure: Azure, item: RevokeAccess) -> Reason:
    """Return why the work ends without anything being taken."""
    await azure.put(item)
    outcome = (await azure.drain())[-1].outcome
    assert isinstance(outcome, Stopped)
    assert changes(azure) == []
    return outcome.blocked[0].reason


def managing(id_: str) -> dict[str, Any]:
    """Return a resource group that another resource owns."""
    kind = "Microsoft.Resources/subscriptions/resourceGroups"
    owner = f"{group()}/providers/Microsoft.Solutions/applications/app"
    return {"id": id_, "name": id_.rpartition("/")[2], "type": kind, "location": "westeurope", "managedBy": owner}


def test_grants_at_a_vault_in_the_app_s_own_resource_group_stay(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        assert await left(azure, asked(azure, ONE)) is Reason.OWN_RESOURCE

    environ = {**allowed(tmp_path), "CMK_OWN_RESOURCE_GROUP": ELSEWHERE}
    on_azure(estate(ONE, moved(vault())), story, environ=environ)


@pytest.mark.parametrize("which", [group(), ELSEWHERE], ids=["the resource's group", "the vault's group"])
def test_grants_stay_where_the_resource_or_the_vault_lies_in_a_group_that_azure_manages(
    tmp_path: Path, which: str
) -> None:
    async def story(azure: Azure) -> None:
        assert await left(azure, asked(azure, ONE)) is Reason.MANAGED_BY_AZURE

    on_azure(estate(ONE, moved(vault()), managing(which)), story, environ=allowed(tmp_path))


def test_what_reaches_a_key_as_another_tenant_s_application_keeps_its_grants(tmp_path: Path) -> None:
    one = account("st1")
    one["properties"]["encryption"]["identity"] = {"federatedIdentityClientId": "99999999-0000-4000-8000-000000000001"}

    async def story(azure: Azure) -> None:
        assert await left(azure, asked(azure, one)) is Reason.CROSS_TENANT

    on_azure(estate(one), story, environ=allowed(tmp_path))


def test_work_that_came_past_the_door_takes_nothing_that_another_rule_would_give_back(tmp_path: Path) -> None:
    one, other = shared("stone"), shared("stother")
    rules = f"{RULE}    where: {{names: [stone]}}\n" + RESTORED.replace("name: all", "name: healed")

    async def story(azure: Azure) -> None:
        assert await left(azure, asked(azure, one, also_affects=1)) is Reason.CONTRADICTS_RULE

    described = estate(one, other, user_assigned(), denied=("stone", "stother"))
    described |= {"roleAssignments": [granted(str(vault()["id"]), UAI_PRINCIPAL)]}
    on_azure(described, story, environ=allowed(tmp_path, rules))


def test_a_resource_whose_key_cannot_be_read_counts_among_those_that_lose_theirs(tmp_path: Path) -> None:
    one, odd = shared("stone"), shared("stodd")
    odd["properties"]["encryption"]["keyvaultproperties"]["keyname"] = "not a name"

    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal, match="others_affected"):
            await wished(azure, one, also_affects=0)
        assert isinstance((await revoked(azure, one, also_affects=1)).outcome, Revoked)

    described = estate(one, odd, user_assigned(), denied=("stone", "stodd"))
    described |= {"roleAssignments": [granted(str(vault()["id"]), UAI_PRINCIPAL)]}
    on_azure(described, story, environ=allowed(tmp_path))


def test_weeks_of_writing_switched_off_use_up_no_patience_of_a_revocation(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path, RULE)

    async def story(azure: Azure) -> None:
        azure.environ["CMK_WRITES"] = "off"
        item = asked(azure, ONE)
        await azure.put(replace(item, first_at=item.first_at - timedelta(days=20)))
        await azure.drain()
        (message,) = azure.waiting()
        waiting = decode(b64decode(message).decode())
        assert isinstance(waiting, RevokeAccess)
        assert waiting.first_at >= item.first_at

    on_azure(estate(ONE), story, environ=file.environ)


def test_whatever_the_app_itself_goes_by_is_never_taken_from_it(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        mine = await azure.app.context.ports.myself.principals()
        assert len(mine) == 2  # its object id and its client id
        for one in sorted(mine):
            azure.world.resources.put({**ONE, "identity": {"type": "SystemAssigned", "principalId": one}})
            kind = "Microsoft.Authorization/roleAssignments"
            (known, *_) = azure.world.resources.of_type(kind)
            place = f"{vault()['id']}/providers/{kind}/{azure.world.new_id()}"
            azure.world.resources.put({**known, "id": place, "properties": {**known["properties"], "principalId": one}})
            assert await left(azure, asked(azure, ONE)) is Reason.OWN_RESOURCE

    on_azure(estate(ONE), story, environ=allowed(tmp_path))


def test_nobody_else_has_a_resource_s_own_identity_though_many_have_one_of_that_kind(tmp_path: Path) -> None:
    machine = {
        "id": f"{group()}/providers/Microsoft.Compute/virtualMachines/vm1",
        "name": "vm1",
        "type": "Microsoft.Compute/virtualMachines",
        "location": "westeurope",
        "identity": {"type": "SystemAssigned", "principalId": "99999999-0000-4000-8000-000000000002"},
    }

    async def story(azure: Azure) -> None:
        assert isinstance((await revoked(azure, ONE, also_affects=0)).outcome, Revoked)

    on_azure(estate(ONE, machine), story, environ=allowed(tmp_path))
