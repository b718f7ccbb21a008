"""What cannot be done to its end is not begun: refusals that reading tells of before the first write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.plan import SetKeys
from shared.domain.preparation import CreateVault
from shared.domain.providers import RegisterProvider
from shared.domain.reasons import Blocked, Reason
from shared.domain.remedies import REMEDIES
from shared.domain.report import Converged
from shared.usecases.preview import preview
from tests.support.azure import MID, OLD, SUB, Azure, account, estate, group, on_azure, vault
from tests.support.enforced import KEYS, changes, enforced, item, key_of, refusal
from tests.support.enforcing import ALL, CREATE, OTHER_UAI, UAI, nothing_yet, plain, policy, user_assigned

NEW = "'https://kv-{location}.vault.azure.net/keys/cmk'"
MAKING = ("may: [create-vault, create-key, grant, register-provider]", CREATE)
HOME = vault()["id"]
QUESTIONS = ("/locks", "/denyassignments", "/permissions", "/roleassignmentsusagemetrics")


def new_vault(folder: Path, where: str) -> dict[str, str]:
    return policy(folder, *MAKING, f"createVault: {where}", key=NEW)


async def refused_before_anything(azure: Azure, one: dict[str, Any], reason: Reason) -> str:
    """Say what is in the way, in a dry run, in truth and when it is asked again; nothing was written by any of them."""
    steps = await preview(azure.app.context, item(azure, one))
    assert [getattr(step, "reason", None) for step in steps or ()] == [reason]
    report = await enforced(azure, one)
    assert refusal(report) is reason
    assert report.did == ()
    assert REMEDIES[reason]
    assert changes(azure) == []
    await azure.drain(until=timedelta(days=2))
    assert changes(azure) == []
    (blocked,) = report.outcome.blocked  # type: ignore[union-attr]
    assert isinstance(blocked, Blocked)
    return blocked.detail


def test_no_vault_is_begun_in_a_resource_group_that_is_not_there_and_no_provider_registered_for_it(
    tmp_path: Path,
) -> None:
    one = plain()
    described = nothing_yet(one, vault())
    described["subscriptions"][0]["unregistered"] = ["Microsoft.KeyVault", "Microsoft.EventGrid"]

    async def story(azure: Azure) -> None:
        assert "/resourceGroups/rg-none " in await refused_before_anything(azure, one, Reason.GROUP_NOT_FOUND)
        made = {"type": "Microsoft.Resources/resourceGroups", "name": "rg-none", "location": "westeurope"}
        azure.world.resources.put({**made, "id": group().replace("rg-data", "rg-none")})
        report = await enforced(azure, one)  # at once: people who mend it are not told of what was
        assert {type(done.step) for done in report.did} == {RegisterProvider}
        await azure.drain(until=timedelta(hours=1))
        assert key_of(azure, one)["keyname"] == "cmk"

    on_azure(described, story, environ=new_vault(tmp_path, "{resourceGroup: rg-none}"))


def test_no_vault_is_begun_in_a_resource_group_that_is_going(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        going = {"type": "Microsoft.Resources/resourceGroups", "name": "rg-going", "location": "westeurope"}
        id_ = group().replace("rg-data", "rg-going")
        azure.world.resources.put({**going, "id": id_, "properties": {"provisioningState": "Deleting"}})
        await refused_before_anything(azure, one, Reason.GROUP_NOT_FOUND)

    on_azure(nothing_yet(one, vault()), story, environ=new_vault(tmp_path, "{resourceGroup: rg-going}"))


def test_no_vault_is_begun_in_a_region_without_vaults_or_in_a_subscription_that_is_none(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        offered = azure.world.memory.setdefault("arm", {}).setdefault("locations", {})
        offered["microsoft.keyvault/vaults"] = ["North Europe"]
        assert "westeurope" in await refused_before_anything(azure, one, Reason.LOCATION_NOT_OFFERED)
        offered["microsoft.keyvault/vaults"] = ["North Europe", "West Europe"]
        assert isinstance((await enforced(azure, one)).outcome, Converged)

    on_azure(nothing_yet(one, vault()), story, environ=new_vault(tmp_path, "{resourceGroup: rg-data}"))

    async def nowhere(azure: Azure) -> None:
        await refused_before_anything(azure, one, Reason.REFUSED)

    where = f"{{resourceGroup: rg-data, subscription: {SUB.replace('1', '9')}}}"
    on_azure(nothing_yet(one, vault()), nowhere, environ=new_vault(tmp_path, where))


def test_a_rule_that_would_make_its_vault_where_none_can_be_keeps_nobody_from_moving_who_has_a_key(
    tmp_path: Path,
) -> None:
    one = account("st1", OLD)

    async def story(azure: Azure) -> None:
        assert isinstance((await enforced(azure, one)).outcome, Converged)
        assert azure.in_use(one) == MID

    where = f"{{resourceGroup: rg-data, subscription: {SUB.replace('1', '9')}}}"
    on_azure(estate(one), story, environ=new_vault(tmp_path, where))


def lock(scope: str) -> dict[str, Any]:
    kind = "Microsoft.Authorization/locks"
    return {"id": f"{scope}/providers/{kind}/l", "type": kind, "name": "l", "properties": {"level": "ReadOnly"}}


def denial(scope: str, action: str, **more: Any) -> dict[str, Any]:
    kind = "Microsoft.Authorization/denyAssignments"
    everybody = [{"id": "00000000-0000-0000-0000-000000000000", "type": "SystemDefined"}]
    properties = {"permissions": [{"actions": [action]}], "principals": everybody, "scope": scope, **more}
    return {"id": f"{scope}/providers/{kind}/d", "type": kind, "name": "d", "properties": properties}


def there(*bodies: dict[str, Any]) -> Callable[[Azure], None]:
    def put(azure: Azure) -> None:
        for body in bodies:
            azure.world.resources.put(body)

    return put


def lacks(*actions: str) -> Callable[[Azure], None]:
    def say(azure: Azure) -> None:
        azure.world.memory.setdefault("arm", {})["lacking"] = list(actions)

    return say


def full(azure: Azure) -> None:
    kind = "Microsoft.Authorization/roleAssignments"
    for number in range(4000):
        id_ = f"{OTHER_UAI}/providers/{kind}/{number:08x}-0000-4000-8000-000000000000"
        properties = {"principalId": f"{number:08x}-0000-4000-8000-000000000000", "roleDefinitionId": "x"}
        azure.world.resources.put({"id": id_, "type": kind, "properties": properties})


BARS: dict[str, tuple[Callable[[Azure], None], Reason]] = {
    "a lock on the resource": (there(lock(plain()["id"])), Reason.SCOPE_LOCKED),
    "a lock on the vault": (there(lock(HOME)), Reason.SCOPE_LOCKED),
    "a lock on the resource group": (there(lock(group())), Reason.SCOPE_LOCKED),
    "a lock on the subscription": (there(lock(f"/subscriptions/{SUB}")), Reason.SCOPE_LOCKED),
    "a denied write of the resource": (
        there(denial(plain()["id"], "Microsoft.Storage/storageAccounts/write")),
        Reason.DENY_ASSIGNMENT,
    ),
    "a denied grant": (
        there(denial(group(), "Microsoft.Authorization/roleAssignments/write")),
        Reason.DENY_ASSIGNMENT,
    ),
    "no right to write the resource": (lacks("Microsoft.Storage/storageAccounts/write"), Reason.NO_RIGHTS),
    "no right to grant": (lacks("Microsoft.Authorization/*/write"), Reason.NO_RIGHTS),
    "no right to make keys": (lacks("Microsoft.KeyVault/vaults/keys/write"), Reason.NO_RIGHTS),
    "no room for a role assignment": (full, Reason.QUOTA),
}


@pytest.mark.parametrize("case", list(BARS))
def test_a_later_step_that_azure_would_refuse_keeps_the_first_from_being_taken(tmp_path: Path, case: str) -> None:
    one, (spoil, reason) = plain(), BARS[case]

    async def story(azure: Azure) -> None:
        spoil(azure)
        await refused_before_anything(azure, one, reason)

    on_azure(nothing_yet(one), story, environ=policy(tmp_path, ALL, CREATE))


def test_an_identity_that_may_not_be_assigned_keeps_the_vaults_key_from_being_made(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        lacks("Microsoft.ManagedIdentity/userAssignedIdentities/assign/action")(azure)
        assert "id-cmk" in await refused_before_anything(azure, one, Reason.NO_RIGHTS)

    on_azure(nothing_yet(one, user_assigned()), story, environ=policy(tmp_path, ALL, CREATE, f"identity: {UAI}"))


def test_a_vault_whose_keys_the_app_could_not_read_is_not_made(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        azure.world.memory.setdefault("vault", {})["strict"] = True
        await refused_before_anything(azure, one, Reason.VAULT_FORBIDDEN)

    on_azure(nothing_yet(one, vault()), story, environ=new_vault(tmp_path, "{resourceGroup: rg-data}"))


@pytest.mark.parametrize(
    "body",
    [
        {**lock(group()), "properties": {"level": "CanNotDelete"}},
        lock(f"{group()}/providers/Microsoft.Storage/storageAccounts/st"),
        denial(group(), "*/delete"),
        denial(group(), "*", doNotApplyToChildScopes=True),
        denial(group(), "*", principals=[{"id": "9c9c9c9c-0000-4000-8000-000000000009", "type": "ServicePrincipal"}]),
    ],
    ids=["a lock against deletion", "a lock beside it", "denied deletions", "denied at the group alone", "another's"],
)
def test_what_forbids_something_else_is_in_nobodys_way(tmp_path: Path, body: dict[str, Any]) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        there(body)(azure)
        steps = await preview(azure.app.context, item(azure, one))
        assert steps
        assert isinstance(steps[-1], SetKeys)

    on_azure(nothing_yet(one), story, environ=policy(tmp_path, ALL, CREATE))


def test_where_nobody_may_ask_beforehand_the_writes_are_made(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        def forbidden(call: Call) -> Answer | None:
            if call.method == "GET" and call.path.lower().endswith((*QUESTIONS, "/resourcegroups/rg-data")):
                return Answer.of({"error": {"code": "AuthorizationFailed", "message": "no"}}, 403)
            return None

        azure.world.hooks = Hooks(before=forbidden)
        report = await enforced(azure, one)
        assert isinstance(report.outcome, Converged), report.outcome
        assert CreateVault in {type(done.step) for done in report.did}

    on_azure(nothing_yet(one, vault()), story, environ=new_vault(tmp_path, "{resourceGroup: rg-data}"))


def test_what_is_asked_beforehand_is_asked_once_for_all_steps(tmp_path: Path) -> None:
    one, two = plain(), plain("st2")

    async def story(azure: Azure) -> None:
        await enforced(azure, one)
        await enforced(azure, two)
        asked = [line.url.partition("?")[0].lower() for line in azure.world.log if line.method == "GET"]
        for question in QUESTIONS:
            assert len([url for url in asked if url.endswith(question)]) == 1, question

    on_azure(nothing_yet(one, two, keys=KEYS), story, environ=policy(tmp_path, ALL))


GROUP = {"id": "9c9c9c9c-0000-4000-8000-000000000001", "type": "Group"}
OTHER = {"id": "9c9c9c9c-0000-4000-8000-000000000002", "type": "ServicePrincipal"}


@pytest.mark.parametrize(("excepted", "refused"), [(GROUP, False), (OTHER, True), ({"id": GROUP["id"]}, False)])
def test_a_denial_that_excepts_a_group_is_left_to_the_write(
    tmp_path: Path, excepted: dict[str, Any], *, refused: bool
) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        there(denial(group(), "Microsoft.Authorization/*/write", excludePrincipals=[excepted]))(azure)
        steps = await preview(azure.app.context, item(azure, one))
        assert steps
        assert isinstance(steps[0], Blocked) is refused

    on_azure(nothing_yet(one), story, environ=policy(tmp_path, ALL, CREATE))


READER: dict[str, Any] = {"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}
MIDDLE = {**READER, "actions": ["Microsoft.*/write", "Microsoft.Authorization/*/Write"]}
ALL_BUT = {**READER, "actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}


@pytest.mark.parametrize(
    ("roles", "refused"),
    [
        ([], False),
        ([READER], True),
        ([ALL_BUT], True),
        ([ALL_BUT, MIDDLE], False),
        ([READER, MIDDLE], False),
        ([READER, {"actions": None, "dataActions": None}], False),
        (["odd", {"actions": {}}], False),
    ],
    ids=[
        "none told",
        "a reader",
        "all but grants",
        "one gives what another leaves out",
        "in the middle",
        "null",
        "odd",
    ],
)
def test_what_the_apps_roles_say_is_read_as_azure_means_it(tmp_path: Path, roles: list[Any], *, refused: bool) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        told = Answer.of({"value": roles})
        azure.world.hooks = Hooks(before=lambda call: told if call.path.lower().endswith("/permissions") else None)
        steps = await preview(azure.app.context, item(azure, one))
        assert steps
        assert isinstance(steps[0], Blocked) is refused

    on_azure(nothing_yet(one), story, environ=policy(tmp_path, ALL, CREATE))


@pytest.mark.parametrize("data", [None, []])
def test_a_role_that_tells_nothing_of_data_is_no_reason_to_refuse_a_vault(
    tmp_path: Path, data: list[str] | None
) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        silent = {"actions": ["*"], "notActions": [], "dataActions": data}
        told = Answer.of({"value": [READER, silent]})
        azure.world.hooks = Hooks(before=lambda call: told if call.path.lower().endswith("/permissions") else None)
        steps = await preview(azure.app.context, item(azure, one))
        assert steps
        assert isinstance(steps[0], Blocked) is (data is not None)

    on_azure(nothing_yet(one, vault()), story, environ=new_vault(tmp_path, "{resourceGroup: rg-data}"))


@pytest.mark.parametrize("answer", [Answer(500), Answer.of([]), Answer.of({"roleAssignmentsRemainingCount": "0"})])
def test_figures_that_azure_does_not_tell_hold_nobody_up(tmp_path: Path, answer: Answer) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=lambda call: answer if "usagemetrics" in call.path.lower() else None)
        assert isinstance((await enforced(azure, one)).outcome, Converged)

    on_azure(nothing_yet(one), story, environ=policy(tmp_path, ALL, CREATE))


def test_a_lock_on_the_identity_that_a_resource_gets_is_left_to_the_write(tmp_path: Path) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        there(lock(UAI))(azure)
        assert isinstance((await enforced(azure, one)).outcome, Converged)

    on_azure(nothing_yet(one, user_assigned()), story, environ=policy(tmp_path, ALL, CREATE, f"identity: {UAI}"))
