"""What lies in search services, on the sandbox."""

from __future__ import annotations

import asyncio
import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.searchservices import objects
from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Gone, LeftAlone
from shared.domain.resource import Address
from shared.domain.work import Cause, CheckResource, Source
from tests.services.applying import differences
from tests.support.azure import MID, OLD, Azure, account, estate, on_azure
from tests.support.moving import URI, asked, end_of, in_effect, resource, why, wished
from tests.support.policies import PolicyFile, allowing

HOST = "srch1.search.windows.net"
PROPERTIES = {"provisioningState": "succeeded", "authOptions": {"aadOrApiKey": {"aadAuthFailureMode": "http403"}}}
SERVICE = resource("Microsoft.Search/searchServices", "srch1", PROPERTIES, sku={"name": "standard"})
INDEX = f"{SERVICE['id']}/indexes/hotels"


def key(version: str | None = OLD, **more: Any) -> dict[str, Any]:
    found = {"keyVaultUri": URI, "keyVaultKeyName": "cmk", "keyVaultKeyVersion": version, "identity": None}
    return {"encryptionKey": {**found, **more}}


HOTELS = {"name": "hotels", "fields": [{"name": "id", "type": "Edm.String", "key": True}], **key()}
BLOBS = {
    "name": "blobs",
    "type": "azureblob",
    "credentials": {"connectionString": "AccountKey=secret"},
    "container": {"name": "ledger"},
    **key(),
}


def described(**collections: Any) -> dict[str, Any]:
    return estate(SERVICE, search={"srch1": collections})


def stored(azure: Azure, collection: str, name: str) -> dict[str, Any]:
    return objects(azure.world, "srch1", collection)[name]


def test_a_rotation_moves_every_kind_of_object_and_leaves_the_rest_as_it_was(tmp_path: Path) -> None:
    words = {"name": "words", "format": "solr", "synonyms": "a, b", **key()}
    nightly = {"name": "nightly", "dataSourceName": "blobs", "targetIndexName": "hotels", **key()}
    skills = {"name": "skills", "skills": [{"@odata.type": "#Microsoft.Skills.Util.ShaperSkill"}], **key()}
    all_of_them = {
        "indexes": [HOTELS, {"name": "plain", "fields": []}],
        "synonymmaps": [words],
        "indexers": [nightly],
        "datasources": [BLOBS],
        "skillsets": [skills],
    }

    async def story(azure: Azure) -> None:
        names = [(collection, one["name"]) for collection, several in all_of_them.items() for one in several]
        before = {one: copy.deepcopy(stored(azure, *one)) for one in names}
        await azure.check_key()
        await azure.drain(until=timedelta(hours=3))
        assert len(asked(azure, HOST)) == 5
        for one in names:
            found = differences(before[one], stored(azure, *one))
            moved = {"/@odata.etag", "/encryptionKey/keyVaultKeyVersion"} if one[1] != "plain" else set()
            assert found.keys() == moved
            assert found.get("/encryptionKey/keyVaultKeyVersion", MID) == MID
        assert set(in_effect(azure, INDEX).values()) == {MID}
        await azure.check(INDEX)
        (*_, last) = await azure.drain(until=timedelta(minutes=1))
        assert isinstance(last.outcome, Converged)
        assert last.outcome.certainty is Certainty.CONFIGURED

    on_azure(described(**all_of_them), story, environ=allowing(tmp_path, "unproven", "put"))


@pytest.mark.parametrize("may", [(), ("unproven",), ("put",)])
def test_nothing_is_written_where_no_rule_allows_it(may: tuple[str, ...], tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        assert why((await azure.check(INDEX))[-1]) == {Reason.NOT_ALLOWED_BY_RULE}
        assert asked(azure, HOST) == []

    on_azure(described(indexes=[HOTELS]), story, environ=allowing(tmp_path, *may))


def test_an_object_that_follows_is_never_written_and_its_version_stays_unknown(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(INDEX)
        await azure.drain(until=timedelta(hours=4))
        end = end_of(azure, INDEX).outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.UNKNOWN
        assert asked(azure, HOST) == []

    on_azure(described(indexes=[HOTELS | key(None)]), story, environ=allowing(tmp_path, "unproven", "put"))


def test_an_object_that_shall_follow_loses_its_version(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(INDEX)
        assert stored(azure, "indexes", "hotels")["encryptionKey"]["keyVaultKeyVersion"] == ""
        assert set(in_effect(azure, INDEX).values()) == {MID}

    environ = allowing(tmp_path, "unproven", "put", version="follow")
    on_azure(described(indexes=[HOTELS]), story, environ=environ)


APPLICATION = {"applicationId": "12121212-1212-4121-8121-121212121212", "applicationSecret": "hidden"}
AI_SERVICES = {"@odata.type": "#Microsoft.Azure.Search.CognitiveServicesByKey", "key": "<redacted>"}
MODEL = {"kind": "azureOpenAI", "azureOpenAIParameters": {"apiKey": "<redacted>", "authIdentity": None}}


@pytest.mark.parametrize(
    ("collection", "more", "where"),
    [
        ("indexes", key(accessCredentials=APPLICATION), "encryptionKey.accessCredentials.applicationSecret"),
        ("skillsets", {"cognitiveServices": AI_SERVICES}, "cognitiveServices.key"),
        (
            "indexes",
            {"vectorSearch": {"vectorizers": [MODEL]}},
            "vectorSearch.vectorizers[0].azureOpenAIParameters.apiKey",
        ),
        ("skillsets", {"knowledgeStore": {"storageConnectionString": None}}, "knowledgeStore.storageConnectionString"),
    ],
)
def test_an_object_that_hides_a_secret_is_not_sent_back(
    collection: str, more: dict[str, Any], where: str, tmp_path: Path
) -> None:
    one = {"name": "hotels", **key(), **more}

    async def story(azure: Azure) -> None:
        reports = await azure.check(f"{SERVICE['id']}/{collection}/hotels")
        assert why(reports[-1]) == {Reason.SECRET_WITHHELD}
        assert where in str(reports[-1].outcome)
        assert asked(azure, HOST) == []

    on_azure(described(**{collection: [one]}), story, environ=allowing(tmp_path, "unproven", "put"))


def test_an_object_that_somebody_changes_meanwhile_keeps_the_change_and_moves_later(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        changes = iter([True])

        def meanwhile(call: Call) -> Answer | None:
            if call.method == "PUT" and call.host == HOST and next(changes, False):
                index = stored(azure, "indexes", "hotels")
                theirs = {"@odata.etag": '"0x1"', "fields": [*index["fields"], {"name": "stars", "type": "Edm.Int32"}]}
                objects(azure.world, "srch1", "indexes")["hotels"] = {**index, **theirs}
            return None

        azure.world.hooks = Hooks(before=meanwhile)
        await azure.check(INDEX)
        assert why(end_of(azure, INDEX)) == {Reason.CONFLICT}
        await azure.drain(until=timedelta(minutes=5))
        found = stored(azure, "indexes", "hotels")
        assert [field["name"] for field in found["fields"]] == ["id", "stars"]
        assert found["encryptionKey"]["keyVaultKeyVersion"] == MID

    on_azure(described(indexes=[HOTELS]), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_rule_for_the_service_holds_for_what_lies_in_it(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\nrules:\n  - {name: hands off, where: {tags: {owner: ledger}}, rotation: ignore}\n")

    async def story(azure: Azure) -> None:
        reports = await azure.check(INDEX)
        assert isinstance(reports[-1].outcome, LeftAlone)

    on_azure(described(indexes=[HOTELS]), story, environ={"CMK_POLICY": str(path)})


def test_the_service_itself_is_not_said_to_lack_a_key_and_a_wish_for_it_is_sent_to_its_objects(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(SERVICE)
        assert report.reasons == ()
        for wish in ({"revert": True}, {"key": f"{URI}/keys/cmk"}):
            assert why(await wished(azure, SERVICE["id"], **wish)) == {Reason.KEY_IS_BELOW}

    on_azure(described(indexes=[HOTELS]), story, environ=allowing(tmp_path, "unproven", "put"))


def test_an_object_neither_begins_to_use_a_key_nor_goes_back(tmp_path: Path) -> None:
    plain = f"{SERVICE['id']}/indexes/plain"

    async def story(azure: Azure) -> None:
        assert why(await wished(azure, INDEX, revert=True)) == {Reason.NO_WAY_BACK}
        assert why(await wished(azure, plain, key=f"{URI}/keys/cmk", slot="encryptionKey")) == {
            Reason.CHOSEN_AT_CREATION
        }
        assert asked(azure, HOST) == []

    estate_ = described(indexes=[HOTELS | key(MID), {"name": "plain", "fields": []}])
    on_azure(estate_, story, environ=allowing(tmp_path, "unproven", "put", "irreversible"))


def test_a_rule_that_says_report_says_nothing_of_what_it_would_have_to_allow(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        (told,) = await azure.check(INDEX)
        assert why(told) == {Reason.REPORT_ONLY}
        assert azure.calls("write") == []

    environ = PolicyFile(tmp_path, "  - {name: all, rotation: report}\n").environ
    on_azure(described(indexes=[HOTELS]), story, environ=environ)


def test_an_object_is_where_its_service_is_and_no_rule_is_passed_by_under_another_address(tmp_path: Path) -> None:
    """A service's name alone leads to its host: who names another group must not get at it by that group's rule."""
    path = tmp_path / "policy.yaml"
    kept = "{name: kept, rotation: report, may: [unproven, put], where: {resourceGroups: [rg-data]}}"
    path.write_text(f"version: 1\nrules:\n  - {kept}\n  - {{name: rest, rotation: fix, may: [unproven, put]}}\n")
    elsewhere = INDEX.replace("rg-data", "rg-other")

    async def story(azure: Azure) -> None:
        (told,) = await azure.check(INDEX)
        assert why(told) == {Reason.REPORT_ONLY}
        before = azure.calls("search")
        (report,) = await azure.check(elsewhere)
        assert isinstance(report.outcome, Gone)
        assert azure.calls("search") == before
        assert asked(azure, HOST) == []

    on_azure(described(indexes=[HOTELS]), story, environ={"CMK_POLICY": str(path)})


@pytest.mark.parametrize("name", ["stranger", "x@srch1", "srch1.evil", "srch1:8443"])
def test_a_search_service_that_resource_manager_does_not_show_gets_no_token(name: str) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(INDEX.replace("srch1", name))
        assert isinstance(report.outcome, Gone)
        assert [one.url for one in azure.world.log if "search.windows.net" in one.url] == []

    on_azure(described(indexes=[HOTELS]), story)


def test_no_other_service_passes_for_a_search_service() -> None:
    named = account("srch1")
    address = Address("Microsoft.Search/searchServices/indexes", f"{named['id']}/encryptionScopes/hotels")

    async def story(azure: Azure) -> None:
        now = azure.time.now()
        await azure.put(CheckResource(address, Cause("c", Source.EVENT), now, now))
        (report,) = await azure.drain()
        assert report.reasons == (Reason.UNSUPPORTED_TYPE,)
        assert [one.url for one in azure.world.log if "search.windows.net" in one.url] == []

    on_azure(estate(SERVICE, named, search={"srch1": {"indexes": [HOTELS]}}), story)


def test_what_is_sent_for_another_object_than_the_one_asked_for_is_not_put_in_its_place(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        def mistaken(call: Call, answer: Answer) -> Answer:
            reads = call.host == HOST and call.method == "GET" and answer.status == 200
            return Answer.of({**answer.json(), "name": "motels"}) if reads else answer

        azure.world.hooks = Hooks(after=mistaken)
        assert why((await azure.check(INDEX))[-1]) == {Reason.SERVICE_UNAVAILABLE}
        assert asked(azure, HOST) == []

    on_azure(described(indexes=[HOTELS]), story, environ=allowing(tmp_path, "unproven", "put"))


def test_a_service_that_is_gone_is_found_out_before_another_one_of_its_name_gets_a_token(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(INDEX)
        before = len([one for one in azure.world.log if HOST in one.url])
        azure.world.resources.remove(str(SERVICE["id"]))
        await asyncio.sleep(660)
        await azure.check(INDEX)
        assert len([one for one in azure.world.log if HOST in one.url]) == before

    on_azure(described(indexes=[HOTELS]), story, environ=allowing(tmp_path, "unproven", "put"))
