import time
from typing import Any

import pytest

from tests.sandbox.arm_desk import ACCOUNT, GROUP, NEW, OLD, ONE, URI, VAULT, Desk, account, estate, pinned, scope

TWO = "22222222-2222-2222-2222-222222222222"
THERE = ACCOUNT.replace(ONE, TWO).replace("contosost1", "second")
STORAGE = "resources | where type =~ 'Microsoft.Storage/storageAccounts'"


@pytest.fixture
def desk() -> Desk:
    second = account(THERE, tags={"env": "test", "Owner Name": "ann"}, kind="BlobStorage")
    group = {"id": GROUP.replace("rg1", "managed"), "location": "westeurope", "managedBy": VAULT}
    described = estate(account(), scope(), second, group)
    described["subscriptions"].append({"subscriptionId": TWO, "displayName": "two", "managementGroup": "test"})
    return Desk(described)


def _names(desk: Desk, condition: str) -> list[str]:
    rows = desk.query(f"resources | where {condition} | project name | order by name asc")["data"]
    return [row["name"] for row in rows]


def _ask(desk: Desk, body: Any) -> tuple[int, Any]:
    answer = desk.call("POST", "/providers/Microsoft.ResourceGraph/resources", body)
    return answer.status, answer.json()


def test_rows_are_tracked_resources_with_types_in_lower_case(desk: Desk) -> None:
    rows = desk.query("resources | order by id asc")["data"]
    assert [row["name"] for row in rows] == ["contoso-kv", "cmk", "contosost1", "second"]
    first = rows[2]
    assert first["type"] == "microsoft.storage/storageaccounts"
    assert (first["resourceGroup"], first["subscriptionId"]) == ("rg1", ONE)
    assert first["properties"]["encryption"]["keyvaultproperties"]["currentVersionedKeyIdentifier"].endswith(OLD)


def test_the_query_of_the_docs_finds_the_users_of_keys(desk: Desk) -> None:
    text = (
        f"{STORAGE} | extend e=properties.encryption | where e.keySource =~ 'Microsoft.Keyvault' | project id, type,"
        " location, keyname=tostring(e.keyvaultproperties.keyname), inUse=tostring(e['keyvaultproperties']"
        '["currentVersionedKeyIdentifier"]) // what is in use'
    )
    row = desk.query(text, resultFormat="objectArray")["data"][0]
    assert row == {
        "id": ACCOUNT,
        "type": "microsoft.storage/storageaccounts",
        "location": "westeurope",
        "keyname": "cmk1",
        "inUse": f"{URI}/keys/cmk1/{OLD}",
    }


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("name == 'second'", ["second"]),
        ("name == 'SECOND'", []),
        ("name =~ 'SECOND'", ["second"]),
        ("name != 'second' and type has 'storag'", []),
        ("name != 'second' and type has 'storageaccounts'", ["contosost1"]),
        ("type !has 'microsoft'", []),
        ("name !~ 'SECOND' and name !contains 'KV' and name !startswith 'cm'", ["contosost1"]),
        ("name in ('second', 'cmk')", ["cmk", "second"]),
        ("name in~ ('SECOND') or name == \"cmk\"", ["cmk", "second"]),
        ("name !in ('second', 'cmk', 'contoso-kv')", ["contosost1"]),
        ("name !in~ ('SECOND', 'CMK', 'contoso-kv')", ["contosost1"]),
        ("name in (tolower('SECOND'))", ["second"]),
        ("name contains 'ONTOSO'", ["contoso-kv", "contosost1"]),
        ("name startswith 'con' and name !endswith 'KV'", ["contosost1"]),
        ("tags.env == 'test'", ["second"]),
        ("tags['Owner Name'] == 'ann'", ["second"]),
        ("tags.ENV == 'test'", []),
        ("isnotempty(tags.env)", ["second"]),
        ("isempty(tags.env) and type endswith 'accounts'", ["contosost1"]),
        ("not(name startswith 'c')", ["second"]),
        ("(name == 'cmk' or name == 'second') and kind == ''", ["cmk"]),
        ("isnull(identity) and isnotnull(location)", ["cmk", "contoso-kv"]),
        ("split(id, '/')[2] == '" + TWO + "'", ["second"]),
        ("split(id, '/')[-1] == 'cmk'", ["cmk"]),
        ("strcat(toupper(name), '-', 1) == 'CMK-1'", ["cmk"]),
        ("coalesce(tags.env, 'none') == 'none' and name == 'cmk'", ["cmk"]),
        ("properties.softDeleteRetentionInDays >= 90", ["contoso-kv"]),
        ("properties.enablePurgeProtection == true", ["contoso-kv"]),
        ("parse_json('{\"a\": [1, 2]}').a[1] == 2 and name == 'cmk'", ["cmk"]),
        ("name has 'kv'", ["contoso-kv"]),
    ],
)
def test_conditions_mean_what_they_mean_in_kql(desk: Desk, condition: str, names: list[str]) -> None:
    assert _names(desk, condition) == names


def test_operators_shape_rows(desk: Desk) -> None:
    rows = desk.query("resources | project name, properties.encryption.keySource, tolower(kind), 1 | sort by name")[
        "data"
    ]
    assert [row["name"] for row in rows] == ["second", "contosost1", "contoso-kv", "cmk"]
    assert list(rows[0]) == ["name", "properties_encryption_keySource", "kind", "Column1"]
    away = desk.query("resources | project name, kind | project-away kind | take 2")["data"]
    assert [list(row) for row in away] == [["name"], ["name"]]
    assert desk.query("resources | count")["data"] == [{"Count": 4}]
    by_kind = desk.query("resources | summarize n = count() by kind, place=location | order by n desc, kind asc")[
        "data"
    ]
    assert by_kind[0] == {"kind": "", "place": "westeurope", "n": 2}
    assert desk.query("resources | summarize count()")["data"] == [{"count_": 4}]
    assert len(desk.query("resources | distinct type")["data"]) == 3
    assert desk.query("where name == 'cmk' | project name")["data"] == [{"name": "cmk"}]
    sorted_by_tag = desk.query("resources | order by tostring(tags.env) desc, name asc | project name")["data"]
    assert sorted_by_tag[0]["name"] == "second"


def test_containers_are_subscriptions_and_groups(desk: Desk) -> None:
    rows = desk.query("ResourceContainers | order by id asc")["data"]
    assert [row["name"] for row in rows] == ["one", "managed", "rg1", "two", "rg1"]
    managed = desk.query("resourcecontainers | where isnotempty(managedBy) | project id, type, managedBy")["data"]
    assert managed == [
        {
            "id": GROUP.replace("rg1", "managed"),
            "type": "microsoft.resources/subscriptions/resourcegroups",
            "managedBy": VAULT,
        }
    ]


def test_the_scope_is_named_by_subscriptions_or_management_groups(desk: Desk) -> None:
    def names(**named: list[str]) -> list[str]:
        _, answer = _ask(desk, {"query": f"{STORAGE} | project name", **named})
        return [row["name"] for row in answer["data"]]

    assert names(subscriptions=[TWO.upper()]) == ["second"]
    assert names(managementGroups=["PROD"]) == ["contosost1"]
    assert names(subscriptions=["unknown"]) == []
    assert _ask(desk, {"query": "resources", "subscriptions": [ONE], "managementGroups": ["x"]})[0] == 400


def test_pages_go_on_with_a_token_unless_the_query_forbids_it(desk: Desk) -> None:
    first = desk.query("resources | project id | order by id asc", top=3)
    assert (first["totalRecords"], first["count"], first["resultTruncated"]) == (4, 3, "true")
    rest = desk.query("resources | project id | order by id asc", top=3, skip_token=first["$skipToken"])
    assert (rest["count"], rest["resultTruncated"]) == (1, "false")
    assert "$skipToken" not in rest
    assert "$skipToken" not in desk.query("resources | project name", top=3)
    assert "$skipToken" not in desk.query("resources | project id | limit 4", top=3)
    assert desk.query("resources | project id | order by id asc", top=3, skip=3)["data"] == rest["data"]


def test_a_table_has_columns_and_rows(desk: Desk) -> None:
    data = desk.query("resources | where name == 'cmk' | project name, properties, n=1", resultFormat="table")["data"]
    assert data["columns"] == [
        {"name": "name", "type": "string"},
        {"name": "properties", "type": "object"},
        {"name": "n", "type": "number"},
    ]
    assert data["rows"][0][0] == "cmk"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("resources | mv-expand tags", "operator mv-expand"),
        ("resources | join (resources) on id", "operator join"),
        ("securityresources | take 1", "table securityresources"),
        ("resources | extend a = replace('a', 'b', name)", "function replace()"),
        ("resources | where name matches regex 'a'", "operator matches"),
        ("resources | summarize max(name) by type", "summarize max()"),
        ("resources | summarize count(), n=count() by type", "more than one aggregate"),
        ("resources | extend a = 1 + 2", "operator +"),
    ],
)
def test_kql_that_the_sandbox_lacks_is_refused_by_name(desk: Desk, query: str, named: str) -> None:
    status, answer = _ask(desk, {"query": query})
    assert (status, answer["error"]["code"]) == (501, "NotInSandbox")
    assert named in answer["error"]["message"]


@pytest.mark.parametrize(
    "query",
    ["", "resources | where name ==", "resources where", "resources | where (name == 'a'", "resources | take x", "^"],
)
def test_what_is_no_kql_is_refused(desk: Desk, query: str) -> None:
    assert _ask(desk, {"query": query})[0] == 400


def test_wrong_requests_are_refused(desk: Desk) -> None:
    assert _ask(desk, {})[0] == 400
    assert _ask(desk, [])[0] == 400
    assert _ask(desk, {"query": "resources", "options": {"$top": "many"}})[0] == 400
    assert _ask(desk, {"query": "resources", "options": {"$top": 0}})[0] == 400
    assert _ask(desk, {"query": "resources", "options": {"$skipToken": "x"}})[0] == 400
    assert _ask(desk, {"query": "resources", "facets": [{}]})[0] == 501
    assert desk.refused("GET", "/providers/Microsoft.ResourceGraph/resources") == (405, "MethodNotAllowed")


def test_a_user_may_ask_fifteen_times_in_five_seconds(desk: Desk) -> None:
    body = {"query": "resources | count"}
    answers = [desk.call("POST", "/providers/Microsoft.ResourceGraph/resources", body) for _ in range(16)]
    assert [answer.status for answer in answers] == [200] * 15 + [429]
    assert answers[0].headers["x-ms-user-quota-remaining"] == "14"
    assert answers[-1].headers["x-ms-user-quota-resets-after"] == "00:00:05"
    assert answers[-1].headers["Retry-After"] == "5"
    desk.later(seconds=5)
    assert desk.query("resources | count")["count"] == 1


def test_graph_shows_resources_as_they_were_a_while_ago() -> None:
    desk = Desk(estate(account(), graphLag=60))
    versions = f"{STORAGE} | project name, v=properties.encryption.keyvaultproperties.keyversion | order by name asc"

    def shown() -> dict[str, str]:
        return {row["name"]: row["v"] for row in desk.query(versions)["data"]}

    def third() -> str:
        return ACCOUNT.replace("contosost1", "third")

    assert shown() == {"contosost1": OLD}
    desk.patch(ACCOUNT, {"properties": {"encryption": pinned(NEW)}})
    desk.later(seconds=30)
    desk.call("PUT", third(), {"location": "westeurope"})
    assert shown() == {"contosost1": OLD}
    desk.later(seconds=30)
    assert shown() == {"contosost1": NEW}
    desk.call("DELETE", ACCOUNT)
    desk.later(seconds=30)
    assert shown() == {"contosost1": NEW, "third": None}
    desk.later(seconds=30)
    assert shown() == {"third": None}
    desk.later(seconds=300)
    assert shown() == {"third": None}


def test_ten_thousand_resources_are_asked_in_a_moment() -> None:
    ids = [ACCOUNT.replace("contosost1", f"st{number:05}") for number in range(10_000)]
    desk = Desk(estate(*(account(id_) for id_ in ids), throttling="off"))
    text = (
        f"{STORAGE} | where properties.encryption.keyvaultproperties.keyname =~ 'CMK1' | project id | order by id asc"
    )
    begin = time.perf_counter()
    found = [desk.query(text, top=1000, skip=start)["count"] for start in range(0, 10_000, 1000)]
    assert sum(found) == 10_000
    assert time.perf_counter() - begin < 8  # ten scans of ten thousand rows, with other tests beside them
