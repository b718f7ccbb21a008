import pytest

from sandbox import arm
from sandbox.wire import Call
from tests.sandbox.arm_desk import ACCOUNT, GROUP, ONE, SCOPE, VAULT, Desk, account, estate, scope

WEB = f"{GROUP}/providers/Microsoft.Web/sites/app"
SUB = f"/subscriptions/{ONE}"


@pytest.fixture
def desk() -> Desk:
    return Desk(estate(account(), scope()))


def test_a_call_without_a_valid_token_is_refused_with_a_challenge(desk: Desk) -> None:
    answer = desk.call("GET", ACCOUNT, headers={"authorization": ""})
    assert (answer.status, answer.json()["error"]["code"]) == (401, "AuthenticationFailed")
    assert "authorization_uri=" in answer.headers["WWW-Authenticate"]
    wrong = desk.call("GET", ACCOUNT, headers={"authorization": "Bearer a.b.c"})
    assert (wrong.status, wrong.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")


def test_any_plausible_api_version_is_taken_and_none_is_refused(desk: Desk) -> None:
    assert desk.refused("GET", ACCOUNT, version="") == (400, "MissingApiVersionParameter")
    assert desk.refused("GET", ACCOUNT, version="soon") == (400, "InvalidApiVersionParameter")
    for version in ("2019-06-01", "2026-09-15-preview"):
        assert desk.get(ACCOUNT, version=version)["name"] == "contosost1"


def test_ids_are_found_in_any_case_and_answered_as_stored(desk: Desk) -> None:
    assert desk.get(ACCOUNT.upper().replace("/SUBSCRIPTIONS", "/subscriptions"))["id"] == ACCOUNT


def test_a_resource_that_is_not_there_is_refused_in_arms_words(desk: Desk) -> None:
    answer = desk.call("GET", WEB)
    assert (answer.status, answer.json()["error"]["code"]) == (404, "ResourceNotFound")
    assert "'Microsoft.Web/sites/app' under resource group 'rg1'" in answer.json()["error"]["message"]
    assert desk.refused("GET", WEB.replace("/rg1/", "/rg9/")) == (404, "ResourceGroupNotFound")
    assert desk.refused("GET", WEB.replace(ONE, "0")) == (404, "SubscriptionNotFound")
    assert desk.refused("GET", f"{GROUP}9") == (404, "ResourceGroupNotFound")
    assert desk.refused("GET", f"{WEB}/slots/blue") == (404, "ParentResourceNotFound")


def test_a_resource_of_any_type_is_put_patched_read_and_deleted(desk: Desk) -> None:
    made = desk.call("PUT", WEB, {"location": "westeurope", "properties": {"a": {"b": 1, "c": 2}}, "tags": {"x": "1"}})
    assert (made.status, made.json()["type"], made.json()["name"]) == (201, "Microsoft.Web/sites", "app")
    again = desk.call("PUT", WEB, {"id": "other", "properties": {"a": {"b": 1, "c": 2}, "z": 0}})
    assert (again.status, again.json()["id"], again.json()["location"]) == (200, WEB, "westeurope")
    assert again.json()["systemData"] == made.json()["systemData"]
    assert "tags" not in again.json()
    patched = desk.patch(WEB, {"properties": {"a": {"b": None, "d": 3}}, "id": "other"})
    assert patched["properties"] == {"a": {"c": 2, "d": 3}, "z": 0}
    assert desk.call("HEAD", WEB).status == 204
    assert desk.call("PUT", f"{WEB}/slots/blue", {"properties": {}}).status == 201
    assert [desk.call("DELETE", WEB).status for _ in range(2)] == [200, 204]
    assert desk.refused("GET", f"{WEB}/slots/blue") == (404, "ParentResourceNotFound")


def test_a_body_that_is_no_object_is_refused(desk: Desk) -> None:
    assert desk.refused("PUT", WEB, [1]) == (400, "InvalidRequestContent")
    assert desk.refused("PATCH", ACCOUNT, {"properties": 3}) == (400, "InvalidRequestContent")
    assert desk.refused("PATCH", ACCOUNT, {"properties": {"encryption": 3}}) == (400, "InvalidRequestContent")


def test_what_holds_resources_is_listed(desk: Desk) -> None:
    assert [one["subscriptionId"] for one in desk.get("/subscriptions")["value"]] == [ONE]
    assert desk.get(SUB)["displayName"] == "one"
    assert desk.get("/tenants")["value"][0]["tenantId"] == desk.world.tenant_id
    assert [one["name"] for one in desk.get(f"{SUB}/resourcegroups")["value"]] == ["rg1"]
    assert desk.get(GROUP)["type"] == "Microsoft.Resources/resourceGroups"
    names = [one["namespace"] for one in desk.get(f"{SUB}/providers")["value"]]
    assert "Microsoft.Storage" in names
    assert desk.get(f"{SUB}/providers/microsoft.storage")["registrationState"] == "Registered"
    assert desk.call("POST", f"{SUB}/providers/Microsoft.Storage/register").status == 200
    assert [one["name"] for one in desk.get(f"{SUB}/locations")["value"]] == ["westeurope"]


def test_lists_of_resources_have_no_properties_no_children_and_a_filter(desk: Desk) -> None:
    every = desk.get(f"{SUB}/resources")["value"]
    assert [one["name"] for one in every] == ["contoso-kv", "cmk", "contosost1"]
    assert not any("properties" in one for one in every)
    only = desk.get(f"{GROUP}/resources", filter="resourceType eq 'microsoft.keyvault/VAULTS'")["value"]
    assert [one["id"] for one in only] == [VAULT]
    assert desk.refused("GET", f"{SUB}/resources", filter="plan ne 'x'") == (501, "NotInSandbox")


def test_resources_of_a_type_come_in_pages(desk: Desk) -> None:
    for number in range(5):
        desk.call("PUT", f"{WEB}{number}", {"location": "westeurope"})
    found, link = [], f"https://management.azure.com{SUB}/providers/microsoft.web/sites?api-version=2025-01-01&%24top=2"
    while link:
        page = desk.get(link)
        found += [one["name"] for one in page["value"]]
        link = page.get("nextLink", "")
    assert found == [f"app{number}" for number in range(5)]
    grouped = desk.get(f"{GROUP}/providers/Microsoft.Web/sites")["value"]
    assert len(grouped) == 5
    assert desk.refused("GET", f"{SUB}/providers/Microsoft.Web/sites", top="many") == (400, "InvalidQueryParameter")


def test_deleting_a_group_takes_all_that_lies_in_it(desk: Desk) -> None:
    assert desk.call("DELETE", GROUP).status == 200
    assert desk.refused("GET", ACCOUNT) == (404, "ResourceGroupNotFound")
    assert len(list(desk.world.resources.under(GROUP))) == 0


def test_locks_at_or_above_a_resource_forbid_what_they_say(desk: Desk) -> None:
    lock = f"{SUB}/providers/Microsoft.Authorization/locks/keep"
    desk.call("PUT", lock, {"properties": {"level": "CanNotDelete"}})
    assert desk.refused("DELETE", ACCOUNT) == (409, "ScopeLocked")
    assert desk.call("PATCH", ACCOUNT, {"tags": {}}).status == 200
    desk.call("PUT", lock, {"properties": {"level": "ReadOnly"}})
    assert desk.refused("PATCH", ACCOUNT, {"tags": {}}) == (409, "ScopeLocked")
    assert desk.refused("PATCH", SCOPE, {}) == (409, "ScopeLocked")
    assert desk.call("GET", ACCOUNT).status == 200
    assert desk.call("DELETE", lock).status == 200
    on_account = f"{ACCOUNT}/providers/Microsoft.Authorization/locks/keep"
    desk.call("PUT", on_account, {"properties": {"level": "CanNotDelete"}})
    assert desk.refused("DELETE", GROUP) == (409, "ScopeLocked")
    assert desk.call("PATCH", VAULT, {"tags": {}}).status == 200


def test_what_the_sandbox_does_not_do_is_said_so(desk: Desk) -> None:
    assert desk.refused("GET", "/nothing/here") == (501, "NotInSandbox")
    assert desk.refused("POST", f"{SUB}/providers/Microsoft.Resources/deployments/d/validate") == (501, "NotInSandbox")
    assert desk.refused("PUT", "/subscriptions") == (405, "MethodNotAllowed")


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", SCOPE.rpartition("/")[0], "childList"),
        ("GET", f"{VAULT}/keys", "childList"),
        ("GET", "/subscriptions", "list"),
        ("GET", f"{SUB}/resourceGroups", "list"),
        ("GET", f"{SUB}/providers/Microsoft.Storage/storageAccounts", "list"),
        ("GET", f"{GROUP}/providers/Microsoft.Storage/storageAccounts", "list"),
        ("GET", f"{SUB}/resources", "list"),
        ("GET", ACCOUNT, "read"),
        ("HEAD", GROUP, "read"),
        ("GET", "/", "read"),
        ("PATCH", ACCOUNT, "write"),
        ("POST", f"{ACCOUNT}/listKeys", "write"),
        ("POST", "/providers/microsoft.resourcegraph/resources", "graph"),
    ],
)
def test_each_call_is_named_for_the_log(method: str, path: str, kind: str) -> None:
    assert arm.kind(Call(method, f"https://management.azure.com{path}?api-version=1")) == kind


def test_the_estates_latency_scales_what_an_answer_takes() -> None:
    desk = Desk(estate(account(), latency=0.5))
    takes = [desk.call("PATCH", ACCOUNT, {"tags": {}}).latency for _ in range(5)]
    assert all(0.02 <= one <= 0.04 for one in takes)
    assert len(set(takes)) == 5
