"""What may be asked of the evidence, and where it is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.adapters.clouds import CLOUDS
from shared.domain.evidence_query import Head, Mark, Query
from shared.domain.reasons import Reason
from shared.errors import Refusal
from shared.settings import Settings, read
from shared.usecases.evidence import read_query

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
PLACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/St1"
ACCOUNT = "https://cmkautopilot.blob.core.windows.net"
AZURITE = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=a2V5;"


def test_what_lies_below_a_resource_is_left_out_where_it_is_asked_for_alone() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    mine, below, beside = Head("1", now, "/S/A"), Head("2", now, "/s/a/b/c"), Head("3", now, "/s/a2")
    wide = Query(now, now + timedelta(hours=1), 10, "/s/a")
    alone = Query(now, now + timedelta(hours=1), 10, "/s/a", alone=True)
    assert [wide.wants(one) for one in (mine, below, beside)] == [True, True, False]
    assert [alone.wants(one) for one in (mine, below, beside)] == [True, False, False]


def test_nothing_asked_is_the_last_day() -> None:
    query = read_query({"code": "the function key"}, NOW)
    assert (query.start, query.end, query.limit) == (NOW - timedelta(days=1), NOW, 1000)
    assert (query.resource, query.key, query.after) == ("", "", None)


def test_what_is_asked_is_read_in_any_usual_form() -> None:
    asked = {
        "from": "2026-04-01",
        "to": "2026-05-01T12:00:00+02:00",
        "resource": PLACE + "/",
        "key": "https://KV.vault.azure.net:443/keys/CMK",
        "limit": "7",
        "cursor": "2026-04-02T00:00:00Z_line",
    }
    query = read_query(asked, NOW)
    assert (query.start, query.end) == (datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, 10, tzinfo=UTC))
    assert (query.resource, query.key) == (PLACE.lower(), "https://kv.vault.azure.net/keys/cmk")
    assert (query.limit, query.after) == (7, Mark(datetime(2026, 4, 2, tzinfo=UTC), "line"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("from", "yesterday"),
        ("from", "2026-05-01T08:00:00Z"),
        ("from", "2026-03-01"),
        ("to", "0001-01-01"),
        ("to", "0001-01-01T00:00:00+23:00"),
        ("to", "9999-12-31"),
        ("cursor", "9999-12-31T23:59:59-14:00_x"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "-1"),
        ("limit", "٣"),
        ("resource", "st1"),
        ("key", "cmk"),
        ("cursor", "first"),
        ("form", "2026-05-01"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_name(name: str, value: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_query({name: value}, NOW)
    assert refused.value.reason is Reason.BAD_REQUEST
    assert refused.value.detail


def settings(**environ: str) -> tuple[Settings, list[str]]:
    found, problems = read(environ, {name: cloud.storage_suffix for name, cloud in CLOUDS.items()})
    return found, [problem.setting for problem in problems]


@pytest.mark.parametrize(
    ("environ", "kept_in"),
    [
        ({"AzureWebJobsStorage__blobServiceUri": ACCOUNT + "/"}, f"{ACCOUNT}/cmk-evidence"),
        ({"AzureWebJobsStorage__accountName": "cmkautopilot"}, f"{ACCOUNT}/cmk-evidence"),
        (
            {"AzureWebJobsStorage__queueServiceUri": "https://cmkautopilot.queue.core.windows.net"},
            f"{ACCOUNT}/cmk-evidence",
        ),
        ({"AzureWebJobsStorage": "AccountName=cmkautopilot;AccountKey=a2V5"}, f"{ACCOUNT}/cmk-evidence"),
        (
            {"CMK_CLOUD": "AzureChinaCloud", "AzureWebJobsStorage__accountName": "cmk"},
            "https://cmk.blob.core.chinacloudapi.cn/cmk-evidence",
        ),
        ({"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, ".sandbox/evidence"),
        ({"AzureWebJobsStorage": AZURITE}, ".sandbox/evidence"),
        ({"CMK_EVIDENCE": "off", "AzureWebJobsStorage__accountName": "cmkautopilot"}, ""),
        ({"CMK_EVIDENCE": "proofs", "AzureWebJobsStorage__accountName": "cmkautopilot"}, "proofs"),
        ({"CMK_EVIDENCE": "https://Proofs.blob.core.windows.net/kept/"}, "https://proofs.blob.core.windows.net/kept"),
        ({}, ""),
    ],
)
def test_evidence_is_kept_where_the_settings_say(environ: dict[str, str], kept_in: str) -> None:
    found, problems = settings(**environ)
    assert found.evidence == kept_in
    assert "CMK_EVIDENCE" not in problems


@pytest.mark.parametrize(
    "wrong",
    [
        "http://proofs.blob.core.windows.net/kept",
        "https://proofs.queue.core.windows.net/kept",
        "https://proofs.blob.core.windows.net",
        "https://proofs.blob.core.windows.net/kept/below",
        "https://proofs.blob.core.windows.net/kept?sig=x",
        "https://proofs.blob.core.windows.net.evil.example/kept",
        "https://u@proofs.blob.core.windows.net/kept",
        "https://proofs.blob.core.usgovcloudapi.net/kept",
    ],
)
def test_a_place_that_is_no_container_of_the_cloud_is_a_problem_and_keeps_nothing(wrong: str) -> None:
    found, problems = settings(CMK_EVIDENCE=wrong, AzureWebJobsStorage__accountName="cmkautopilot")
    assert (found.evidence, found.evidence_host, problems) == ("", "", ["CMK_EVIDENCE"])


def test_a_folder_is_refused_on_azure() -> None:
    for environ in ({"CMK_EVIDENCE": "proofs"}, {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}):
        found, problems = settings(WEBSITE_SITE_NAME="app", CMK_OWN_RESOURCE_GROUP="/subscriptions/s", **environ)
        assert found.evidence == ""
        assert "CMK_EVIDENCE" in problems


def test_the_account_that_keeps_the_evidence_is_one_the_app_never_changes() -> None:
    found, _ = settings(
        CMK_EVIDENCE="https://proofs.blob.core.windows.net/kept", AzureWebJobsStorage__accountName="cmkautopilot"
    )
    assert found.own.storage_accounts == {"proofs", "cmkautopilot"}
