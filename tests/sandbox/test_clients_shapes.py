"""What az 2.91 and c7n-azure 0.7.52 send, replayed in process; `make clients` runs the clients themselves."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest

from sandbox import identity
from sandbox.cloud import Cloud
from sandbox.console import Console
from sandbox.stage import Stage
from sandbox.wire import Answer, Call, Json
from tests.sandbox.arm_desk import (
    ACCOUNT,
    ENCRYPTION_USER,
    GROUP,
    NEW,
    OLD,
    ONE,
    SYSTEM,
    UAI,
    URI,
    VAULT,
    Desk,
    account,
    estate,
)

CLIENT = "66666666-6666-4666-8666-666666666666"
KEY_VERSION = "7.6-preview.2"  # of az; Custodian asks for 2025-07-01
TAGS = f"{ACCOUNT}/providers/Microsoft.Resources/tags/default"
# az and Custodian write the resource's provider with an empty parent between two slashes.
LOCKS = f"{ACCOUNT.replace('resourceGroups', 'resourcegroups').replace('Storage/', 'Storage//')}/providers"
LOCKS += "/Microsoft.Authorization/locks"


@pytest.fixture
def desk() -> Desk:
    return Desk(estate(account(tags={"team": "ledger"})))


def _ask(desk: Desk, method: str, url: str, body: Any = None) -> Answer:
    """Call any host with a token for it, as az does after the first 401."""
    audience = "https://vault.azure.net" if ".vault." in url else url[: url.index("/", 8)]
    token, _ = identity.issue(desk.world, CLIENT, audience)
    sent = b"" if body is None else json.dumps(body).encode()
    return Cloud(desk.world).answer(Call(method, url, {"authorization": f"Bearer {token}"}, sent))


def _update(**encryption: Any) -> Json:
    """Return the PATCH of `az storage account update`: everything as read, encryption among it."""
    services = {"blob": {"enabled": True, "keyType": "Account"}}
    rules = {"bypass": "AzureServices", "defaultAction": "Allow", "ipRules": [], "virtualNetworkRules": []}
    properties = {"encryption": {"services": services, **encryption}, "networkAcls": rules}
    return {"sku": {"name": "Standard_LRS"}, "tags": {"team": "ledger"}, "properties": properties}


def _pointer(version: str) -> Json:
    return {"keyvaulturi": f"{URI}/", "keyname": "cmk1", "keyversion": version}


def _keys(desk: Desk) -> Json:
    found: Json = desk.get(ACCOUNT)["properties"]["encryption"]
    return found


@pytest.mark.parametrize(("version", "effective"), [(NEW, NEW), (OLD, OLD), ("", NEW)])
def test_az_moves_an_account_to_a_version_and_to_none(desk: Desk, version: str, effective: str) -> None:
    sent = _update(keySource="Microsoft.Keyvault", keyvaultproperties=_pointer(version))
    assert desk.call("PATCH", ACCOUNT, sent, None, version="2025-08-01").status == 200
    found = _keys(desk)["keyvaultproperties"]
    assert (found["keyversion"], found["currentVersionedKeyIdentifier"]) == (version, f"{URI}/keys/cmk1/{effective}")


def test_az_moves_an_account_to_the_platforms_key_and_back(desk: Desk) -> None:
    desk.patch(ACCOUNT, _update(keySource="Microsoft.Storage"))
    assert _keys(desk)["keySource"] == "Microsoft.Storage"
    desk.patch(ACCOUNT, _update(keySource="Microsoft.Keyvault", keyvaultproperties=_pointer(NEW)))
    assert _keys(desk)["keyvaultproperties"]["keyversion"] == NEW


def test_az_sends_keys_with_a_slash_behind_the_name(desk: Desk) -> None:
    made = _ask(desk, "POST", f"{URI}/keys/made/create?api-version={KEY_VERSION}", {"kty": "RSA", "key_size": 3072})
    assert made.status == 200
    rotated = _ask(desk, "POST", f"{URI}/keys/made/rotate?api-version={KEY_VERSION}")
    assert rotated.status == 200
    changed = _ask(desk, "PATCH", f"{URI}/keys/made/?api-version={KEY_VERSION}", {"attributes": {"enabled": False}})
    assert changed.json()["attributes"]["enabled"] is False
    shown = _ask(desk, "GET", f"{URI}/keys/made/?api-version={KEY_VERSION}").json()
    assert shown["key"]["kid"] == rotated.json()["key"]["kid"]
    assert _ask(desk, "POST", f"{URI}/keys/made/rotate?api-version={KEY_VERSION}").status == 403


def test_a_key_without_rotation_policy_shows_the_default_without_an_id(desk: Desk) -> None:
    url = f"{URI}/keys/cmk1/rotationpolicy?api-version=2025-07-01"
    found = _ask(desk, "GET", url).json()
    assert "id" not in found
    assert found["lifetimeActions"] == [{"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}]
    after = {"timeAfterCreate": "P90D"}
    assert _ask(desk, "PUT", url, {"lifetimeActions": [{"trigger": after, "action": {"type": "Rotate"}}]}).status == 200
    assert _ask(desk, "GET", url).json()["id"] == f"{URI}/keys/cmk1/rotationpolicy"


def test_locks_are_found_and_made_through_a_path_with_two_slashes(desk: Desk) -> None:
    assert desk.get(LOCKS, version="2016-09-01")["value"] == []
    sent = {"properties": {"level": "ReadOnly"}}
    made = desk.call("PUT", f"{LOCKS}/closed", sent, None, version="2016-09-01")
    assert (made.status, "//" in made.json()["id"]) == (201, False)
    assert [one["name"] for one in desk.get(LOCKS)["value"]] == ["closed"]
    assert desk.refused("PATCH", ACCOUNT, _update()) == (409, "ScopeLocked")
    assert desk.call("DELETE", f"{LOCKS}/closed").status == 200
    assert desk.call("PATCH", ACCOUNT, _update()).status == 200


@pytest.mark.parametrize(
    ("operation", "tags", "wanted"),
    [
        ("Merge", {"seen": "yes"}, {"team": "ledger", "seen": "yes"}),
        ("Replace", {"seen": "yes"}, {"seen": "yes"}),
        ("Delete", {"team": "ledger"}, {}),
        ("Delete", {"team": "other"}, {"team": "ledger"}),
    ],
)
def test_tags_are_changed_as_a_resource_of_their_own(desk: Desk, operation: str, tags: Json, wanted: Json) -> None:
    before = _keys(desk)
    found = desk.patch(TAGS, {"operation": operation, "properties": {"tags": tags}})
    assert (found["name"], found["properties"]["tags"]) == ("default", wanted)
    assert desk.get(TAGS)["properties"]["tags"] == desk.get(ACCOUNT)["tags"] == wanted
    assert _keys(desk) == before
    assert desk.heard[-1].data["operationName"] == "Microsoft.Resources/tags/write"
    assert desk.heard[-1].subject == TAGS.replace("resourceGroups", "resourcegroups")


def test_tags_are_put_and_deleted_and_what_makes_no_sense_is_refused(desk: Desk) -> None:
    assert desk.call("PUT", TAGS, {"properties": {"tags": {"a": "b"}}}).json()["properties"]["tags"] == {"a": "b"}
    assert desk.call("DELETE", TAGS).status == 200
    assert desk.get(ACCOUNT)["tags"] == {}
    assert desk.refused("PATCH", TAGS, {"operation": "Forget"}) == (400, "InvalidTagsOperation")
    assert desk.refused("PUT", TAGS, {"properties": {"tags": ["a"]}}) == (400, "InvalidRequestContent")
    assert desk.refused("GET", TAGS.replace("default", "other")) == (400, "InvalidTagsName")
    assert desk.refused("GET", TAGS.replace("contosost1", "nothere")) == (404, "ResourceNotFound")
    of_subscription = f"/subscriptions/{ONE}/providers/Microsoft.Resources/tags/default"
    assert desk.refused("GET", of_subscription) == (501, "NotInSandbox")
    assert desk.call("PUT", f"{GROUP}/providers/Microsoft.Resources/tags/default", {"properties": {}}).status == 200


def test_every_account_has_its_services(desk: Desk) -> None:
    blob = f"{ACCOUNT}/blobServices/default"
    assert desk.get(blob)["properties"]["deleteRetentionPolicy"]["enabled"] is False
    assert desk.get(f"{ACCOUNT}/fileServices")["value"][0]["properties"]["shareDeleteRetentionPolicy"]["enabled"]
    kept = {"enabled": True, "days": 7}
    assert desk.call("PUT", blob, {"properties": {"deleteRetentionPolicy": kept}}).status == 200
    found = desk.get(blob)["properties"]
    assert found == {"cors": {"corsRules": []}, "deleteRetentionPolicy": {"allowPermanentDelete": False, **kept}}
    assert desk.refused("GET", f"{ACCOUNT}/blobServices/other") == (400, "InvalidResourceName")
    assert desk.refused("GET", blob.replace("contosost1", "nothere"))[0] == 404


def test_az_looks_service_principals_up_in_the_directory(desk: Desk) -> None:
    graph = "https://graph.microsoft.com/v1.0"
    named = quote(f"servicePrincipalNames/any(c:c eq '{CLIENT}')")
    mine = _ask(desk, "GET", f"{graph}/servicePrincipals?$filter={named}").json()["value"]
    principal = identity.principal_of(desk.world, CLIENT)
    assert [(one["id"], one["appId"]) for one in mine] == [(principal, CLIENT)]
    ids = [principal, SYSTEM.upper(), "00000000-0000-4000-8000-000000000000"]
    found = _ask(desk, "POST", f"{graph}/directoryObjects/getByIds", {"ids": ids}).json()["value"]
    assert {one["id"] for one in found} == {principal, SYSTEM}
    assert all(one["servicePrincipalNames"] and one["@odata.type"].endswith("servicePrincipal") for one in found)
    known = _ask(desk, "GET", f"{graph}/servicePrincipals").json()["value"]
    assert {"cmk-autopilot", UAI.rpartition("/")[2], "contosost1"} <= {one["displayName"] for one in known}
    assert _ask(desk, "GET", f"{graph}/servicePrincipals/{principal}").json()["appId"] == CLIENT
    assert _ask(desk, "GET", f"{graph}/servicePrincipals/nobody").status == 404
    assert _ask(desk, "GET", f"{graph}/servicePrincipals?$filter=x").status == 501
    assert _ask(desk, "GET", f"{graph}/users").status == 501
    assert Cloud(desk.world).answer(Call("GET", f"{graph}/servicePrincipals")).status == 401


def test_a_deleted_role_assignment_is_shown_once_more(desk: Desk) -> None:
    url = f"{VAULT}/providers/Microsoft.Authorization/roleAssignments/{CLIENT}"
    role = f"/subscriptions/{ONE}/providers/Microsoft.Authorization/roleDefinitions/{ENCRYPTION_USER}"
    sent = {"properties": {"principalId": CLIENT, "roleDefinitionId": role}}
    made = desk.call("PUT", url, sent)
    assert made.status == 201
    deleted = desk.call("DELETE", url)
    assert (deleted.status, deleted.json()) == (200, made.json())
    assert desk.call("DELETE", url).status == 204


def test_az_asks_whether_names_of_hardware_modules_are_free(desk: Desk) -> None:
    url = f"/subscriptions/{ONE}/providers/Microsoft.KeyVault/checkMhsmNameAvailability"
    assert desk.call("POST", url, {"name": "some"}).json() == {"nameAvailable": True}


def test_the_console_shows_a_vaults_keys() -> None:
    async def post(*_: Any) -> int:
        raise AssertionError("nothing is delivered here")

    stage = Stage(estate(account()), post=post)
    answer = asyncio.run(Console(stage).answer(Call("GET", "http://127.0.0.1/console/keys?vault=contoso-kv")))
    (key,) = answer.json()["value"]
    assert (key["name"], key["kty"], key["deleted"]) == ("cmk1", "RSA", False)
    assert [(one["version"], one["enabled"]) for one in key["versions"]] == [(OLD, True), (NEW, True)]
    assert key["versions"][1]["expires"] == "2027-10-01T00:00:00+00:00"
