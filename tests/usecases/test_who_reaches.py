"""Lost access is judged by whoever really reaches the key; where nobody can tell who that is, nothing is said."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sandbox.identity import principal_of as application_of
from shared.domain.reasons import Reason
from shared.domain.work import Cause, CheckResource, Source
from tests.support.azure import OLD, Azure, on_azure
from tests.support.enforcing import UAI
from tests.support.keyed import example, using

DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
OWN, ASSIGNED = "55555555-5555-4555-8555-555555555555", "33333333-3333-4333-8333-333333333333"
DISKS, ROOT = "77777777-7777-7777-7777-777777777777", "66666666-6666-6666-6666-666666666666"
BOTH = {
    "type": "SystemAssigned,UserAssigned",
    "principalId": OWN,
    "userAssignedIdentities": {UAI: {"principalId": ASSIGNED, "clientId": "44444444-4444-4444-8444-444444444444"}},
}


def made(name: str, identity: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """Return an example whose keys are all cmk in kv-main, with this said otherwise."""
    said = json.dumps(example(name)).replace("kv-ledger", "kv-main")
    one: dict[str, Any] = json.loads(re.sub(r'"(?:Cmk-Dbfs|cmk-\w+)"', '"cmk"', said))
    one["properties"] |= properties
    return one if identity is None else {**one, "identity": identity}


def told(one: dict[str, Any], *above: dict[str, Any], granted: tuple[str, ...] = ()) -> str:
    """Return what the app says of lost access when nobody but these was granted the key, "" for nothing."""
    described = using(*above, one)
    described["roleAssignments"] = [grant for grant in described["roleAssignments"] if grant["principalId"] in granted]

    async def story(azure: Azure) -> str:
        azure.environ["CMK_FIRST_PARTY"] = f"{DATABRICKS}={application_of(azure.world, DATABRICKS)}"
        azure.app = azure.instance()
        now = azure.time.now()
        await azure.put(CheckResource(azure.address(one), Cause("c", Source.EVENT), now, now, reach=True))
        (report, *_) = await azure.drain()
        blocked = getattr(report.outcome, "blocked", ())
        return " ".join(each.detail for each in blocked if each.reason is Reason.ACCESS_LOST)

    return on_azure(described, story)


COSMOS = "documentdb_databaseaccounts-following"
SCOPE = "cognitiveservices_accounts_encryptionscopes-pinned"
FORMS = {**made("cognitiveservices_accounts-platform", BOTH), "name": "cog-forms"}
FORMS["id"] = FORMS["id"].rpartition("/")[0] + "/cog-forms"


@pytest.mark.parametrize(
    ("one", "who"),
    [
        (made(COSMOS, BOTH, defaultIdentity="SystemAssignedIdentity"), OWN),
        (made(COSMOS, BOTH, defaultIdentity=f"UserAssignedIdentity={UAI}"), ASSIGNED),
        (made("containerinstance_containergroups-pinned"), ASSIGNED),
        (made("containerservice_managedclusters-legacy"), ASSIGNED),
        (made("machinelearningservices_workspaces-pinned"), ASSIGNED),
        (made("cognitiveservices_accounts-assigned"), ASSIGNED),
    ],
    ids=["its own", "one of two", "a group's", "a cluster's", "a workspace's", "by client id"],
)
def test_the_identity_that_a_resource_names_for_its_key_counts_and_no_other(one: dict[str, Any], who: str) -> None:
    assert f"principal {who} lacks" in told(one, granted=tuple({OWN, ASSIGNED} - {who}))


@pytest.mark.parametrize(
    "one",
    [
        made(COSMOS, BOTH),
        made(
            "containerinstance_containergroups-pinned",
            encryptionProperties={
                "vaultBaseUrl": "https://kv-main.vault.azure.net",
                "keyName": "cmk",
                "keyVersion": OLD,
            },
        ),
        made("containerservice_managedclusters-legacy", {"type": "SystemAssigned", "principalId": OWN}),
    ],
    ids=["Azure's own application", "a group without one", "no such kind of identity"],
)
def test_where_nobody_can_tell_who_reaches_the_key_nothing_is_said(one: dict[str, Any]) -> None:
    assert told(one) == ""


@pytest.mark.parametrize(("client", "who"), [("", OWN), ("44444444-4444-4444-8444-444444444444", ASSIGNED)])
def test_a_scope_acts_as_the_identity_of_its_account_that_it_names_or_as_the_accounts_own(
    client: str, who: str
) -> None:
    one = made(SCOPE)
    one["properties"]["keyVaultProperties"]["identityClientId"] = client
    assert f"principal {who} lacks" in told(one, FORMS, granted=tuple({OWN, ASSIGNED} - {who}))


@pytest.mark.parametrize(("primary", "who"), [(None, OWN), (UAI, ASSIGNED)], ids=["its own", "the primary one"])
def test_a_protector_acts_as_its_servers_primary_identity(primary: str | None, who: str) -> None:
    server = made("sql_servers-plain", BOTH, primaryUserAssignedIdentityId=primary)
    called = f"kv-main_cmk_{OLD}"
    held = {"serverKeyType": "AzureKeyVault", "uri": f"https://kv-main.vault.azure.net/keys/cmk/{OLD}"}
    server_key = {"id": f"{server['id']}/keys/{called}", "name": called, "properties": held}
    one = made("sql_servers_encryptionprotector-pinned", serverKeyName=called, uri=held["uri"])
    assert f"principal {who} lacks" in told(one, server, server_key, granted=tuple({OWN, ASSIGNED} - {who}))


def test_each_key_of_a_databricks_workspace_is_judged_by_who_reaches_that_one() -> None:
    one = made("databricks_workspaces-pinned")
    everything = told(one)
    assert everything.count("lacks") == 3
    assert all(f"principal {who} lacks" in everything for who in (DISKS, ROOT))
