import json
from collections.abc import Mapping
from typing import Any

import pytest

from sandbox import identity
from sandbox.arm import searchservices
from sandbox.arm.keyed import uses
from sandbox.cloud import Cloud
from sandbox.estate import EstateError
from sandbox.identity import principal_of
from sandbox.wire import Answer, Call, Json, Unreachable
from tests.sandbox.arm_desk import ASSIGNED, NEW, OLD, SYSTEM, UAI, URI, Desk
from tests.sandbox.keyed_desk import NEWER, body, desk, effective, grant, revoke, rotate

BOTH = {"type": "SystemAssigned,UserAssigned", "principalId": SYSTEM, "userAssignedIdentities": {UAI: {}}}
POLICY = {"encryptionWithCmk": {"enforcement": "Disabled"}}
SERVICE = body("Microsoft.Search/searchServices", "contososearch", POLICY, sku={"name": "standard"}) | {
    "identity": BOTH
}
HOST = "https://contososearch.search.windows.net"


def key(version: str = OLD, **more: Any) -> Json:
    found = {"keyVaultUri": URI, "keyVaultKeyName": "cmk1", "keyVaultKeyVersion": version, "identity": None}
    return {"encryptionKey": {name: value for name, value in {**found, **more}.items() if value is not None}}


HOTELS = {"name": "hotels", "fields": [{"name": "id", "type": "Edm.String", "key": True}], **key()}
PLAIN = {"name": "plain", "fields": []}
BLOBS = {"name": "blobs", "type": "azureblob", "credentials": {"connectionString": "secret"}, **key()}


@pytest.fixture
def at() -> Desk:
    return desk(SERVICE, search={"contososearch": {"indexes": [HOTELS, PLAIN], "datasources": [BLOBS]}})


def ask(at: Desk, method: str, path: str, sent: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    token, _ = identity.issue(at.world, at.world.app_client_id, "https://search.azure.com")
    if headers is None or "api-key" not in headers:
        headers = {"authorization": f"Bearer {token}", **(headers or {})}
    content = b"" if sent is None else json.dumps(sent).encode()
    return Cloud(at.world).answer(Call(method, f"{HOST}{path}?api-version=2026-04-01", headers, content))


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["error"]["code"]


def in_effect(at: Desk, path: str = "/indexes/hotels") -> list[str]:
    ask(at, "GET", path)
    return [one.rpartition("/")[2] for one in uses.in_effect(at.world, f"{SERVICE['id']}{path}").values()]


def test_objects_are_listed_and_read_in_both_spellings_of_their_path(at: Desk) -> None:
    assert [one["name"] for one in ask(at, "GET", "/indexes").json()["value"]] == ["hotels", "plain"]
    assert ask(at, "GET", "/indexes('hotels')").json() == ask(at, "GET", "/indexes/hotels").json()
    assert code(ask(at, "GET", "/indexes/none")) == (404, "ResourceNotFound")
    for collection in searchservices.COLLECTIONS:
        assert ask(at, "GET", f"/{collection}").status == 200
    assert code(ask(at, "GET", "/indexes/hotels/docs")) == (501, "NotInSandbox")


def test_an_object_moves_to_a_new_version_by_a_put_of_the_whole(at: Desk) -> None:
    answer = ask(at, "PUT", "/indexes/hotels", HOTELS | key(NEW))
    assert (answer.status, answer.json()["encryptionKey"]["keyVaultKeyVersion"]) == (200, NEW)
    assert in_effect(at) == [NEW]


def test_a_put_that_does_not_match_the_etag_is_refused_and_every_put_makes_a_new_one(at: Desk) -> None:
    etag = ask(at, "GET", "/indexes/hotels").json()["@odata.etag"]
    sent = HOTELS | key(NEW)
    assert ask(at, "PUT", "/indexes/hotels", sent, {"if-match": etag}).json()["@odata.etag"] != etag
    assert code(ask(at, "PUT", "/indexes/hotels", sent, {"if-match": etag})) == (412, "PreconditionFailed")
    assert code(ask(at, "PUT", "/indexes/hotels", sent, {"if-none-match": "*"})) == (412, "PreconditionFailed")
    assert code(ask(at, "PUT", "/indexes/new", sent, {"if-match": "*"})) == (412, "PreconditionFailed")


def test_a_key_is_neither_added_to_an_object_nor_taken_from_it(at: Desk) -> None:
    for path, sent in (("/indexes/plain", PLAIN | key()), ("/indexes/hotels", {"name": "hotels", "fields": []})):
        assert code(ask(at, "PUT", path, sent)) == (400, "OperationNotAllowed")
    assert ask(at, "PUT", "/indexes/new", {"name": "new", "fields": [], **key()}).status == 201


def test_secrets_are_never_shown_and_stay_when_they_are_sent_back_as_null_or_unchanged(at: Desk) -> None:
    def kept() -> str:
        found = searchservices.objects(at.world, "contososearch", "datasources")["blobs"]
        return str(found["credentials"]["connectionString"])

    shown = ask(at, "GET", "/datasources/blobs").json()
    assert shown["credentials"] == {"connectionString": None}
    for value in (None, "<unchanged>"):
        sent = shown | {"credentials": {"connectionString": value}} | key(NEW)
        assert ask(at, "PUT", "/datasources/blobs", sent).json()["credentials"] == {"connectionString": None}
        assert kept() == "secret"
    ask(at, "PUT", "/datasources/blobs", shown | {"credentials": {"connectionString": "other"}})
    assert kept() == "other"
    assert code(ask(at, "PUT", "/datasources/new", {**shown, "name": "new"})) == (400, "InvalidRequestParameter")


def test_the_secret_of_an_application_is_kept_likewise(at: Desk) -> None:
    client = "12121212-1212-4121-8121-121212121212"
    grant(at, principal_of(at.world, client))
    revoke(at)
    credentials = {"applicationId": client, "applicationSecret": "secret"}
    maps = {"name": "words", "format": "solr", **key(NEW, accessCredentials=credentials)}
    shown = ask(at, "PUT", "/synonymmaps/words", maps).json()
    assert shown["encryptionKey"]["accessCredentials"] == {"applicationId": client, "applicationSecret": None}
    assert ask(at, "PUT", "/synonymmaps/words", shown).status == 200
    found = searchservices.objects(at.world, "contososearch", "synonymmaps")["words"]
    assert found["encryptionKey"]["accessCredentials"] == credentials


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        (key("f" * 32), "KeyVaultAccessForbidden"),
        (key(OLD, keyVaultKeyName="curve"), "InvalidRequestParameter"),
        (key(OLD, keyVaultUri="https://nowhere.vault.azure.net"), "InvalidRequestParameter"),
        ({"encryptionKey": {"keyVaultUri": URI}}, "InvalidRequestParameter"),
        (key(OLD, identity={"userAssignedIdentity": f"{UAI}9"}), "KeyVaultAccessForbidden"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_and_the_old_one_stays(at: Desk, pointer: Json, expected: str) -> None:
    assert code(ask(at, "PUT", "/indexes/hotels", HOTELS | pointer)) == (400, expected)
    assert in_effect(at) == [OLD]


def test_an_attached_identity_reaches_the_key_when_the_object_names_it(at: Desk) -> None:
    revoke(at)
    assert code(ask(at, "PUT", "/indexes/hotels", HOTELS | key(NEW))) == (400, "KeyVaultAccessForbidden")
    named = key(
        NEW,
        identity={"@odata.type": "#Microsoft.Azure.Search.DataUserAssignedIdentity"} | {"userAssignedIdentity": UAI},
    )
    assert ask(at, "PUT", "/indexes/hotels", HOTELS | named).status == 200
    revoke(at, ASSIGNED)
    assert ask(at, "PUT", "/indexes/hotels", HOTELS | named).status == 400


@pytest.mark.parametrize("version", ["", None])
def test_an_object_that_names_no_version_follows_within_an_hour(at: Desk, version: str | None) -> None:
    ask(at, "PUT", "/indexes/hotels", HOTELS | key(version))  # type: ignore[arg-type]  # None leaves it out
    rotate(at)
    assert in_effect(at) == [NEW]
    at.later(hours=1)
    assert in_effect(at) == [NEWER]


def test_a_token_for_another_audience_is_refused_and_keys_open_a_service_that_takes_only_those(at: Desk) -> None:
    assert ask(at, "GET", "/indexes", headers={"authorization": ""}).status == 401
    arm, _ = identity.issue(at.world, "c", "https://management.azure.com")
    assert ask(at, "GET", "/indexes", headers={"authorization": f"Bearer {arm}"}).status == 401
    at.patch(SERVICE["id"], {"properties": {"authOptions": {"apiKeyOnly": {}}}})
    assert ask(at, "GET", "/indexes").status == 403
    keys = at.call("POST", f"{SERVICE['id']}/listAdminKeys").json()
    assert ask(at, "GET", "/indexes", headers={"api-key": keys["primaryKey"]}).status == 200
    assert ask(at, "GET", "/indexes", headers={"api-key": "mine"}).status == 403
    at.patch(SERVICE["id"], {"properties": {"publicNetworkAccess": "disabled"}})
    assert ask(at, "GET", "/indexes", headers={"api-key": keys["primaryKey"]}).status == 403


def test_a_free_service_takes_no_keys() -> None:
    at = desk(SERVICE | {"sku": {"name": "free"}})
    assert code(ask(at, "PUT", "/indexes/hotels", HOTELS)) == (400, "InvalidRequestParameter")
    assert ask(at, "PUT", "/indexes/plain", PLAIN).status == 201


def test_the_service_says_whether_its_objects_comply_and_takes_no_bare_ones_once_it_enforces(at: Desk) -> None:
    def policy(enforcement: str) -> str:
        sent = {"properties": {"encryptionWithCmk": {"enforcement": enforcement}}}
        found: Json = at.patch(SERVICE["id"], sent)["properties"]["encryptionWithCmk"]
        return str(found["encryptionComplianceStatus"])

    assert policy("Disabled") == "Compliant"
    assert policy("Enabled") == "NonCompliant"
    assert code(ask(at, "PUT", "/indexes/bare", {"name": "bare"})) == (400, "OperationNotAllowed")
    assert ask(at, "DELETE", "/indexes/plain").status == 204
    assert at.get(SERVICE["id"])["properties"]["encryptionWithCmk"]["encryptionComplianceStatus"] == "Compliant"


def test_objects_are_made_by_post_and_deleted_and_no_resource_of_arms(at: Desk) -> None:
    assert ask(at, "POST", "/skillsets", {"name": "skills", "skills": []}).status == 201
    assert code(ask(at, "POST", "/skillsets", {"name": "skills"})) == (409, "ResourceNameAlreadyInUse")
    assert [ask(at, "DELETE", "/skillsets/skills").status for _ in range(2)] == [204, 404]
    assert at.refused("GET", f"{SERVICE['id']}/indexes/hotels")[0] == 404
    assert effective(at, SERVICE["id"]) == []


def test_a_service_that_is_not_there_has_no_host() -> None:
    with pytest.raises(Unreachable):
        ask(desk(), "GET", "/indexes")


def test_an_estates_objects_belong_to_a_service_and_to_a_collection() -> None:
    with pytest.raises(EstateError, match=r"search: the service 'other'"):
        desk(SERVICE, search={"other": {}})
    with pytest.raises(EstateError, match="'docs' is none of"):
        desk(SERVICE, search={"contososearch": {"docs": []}})
