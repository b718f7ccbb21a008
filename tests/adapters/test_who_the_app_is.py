"""Who the app signs in as, which hosts are its cloud's, and what it stands on, as the settings and Azure itself say."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any, NoReturn

import pytest
from azure.core.exceptions import ClientAuthenticationError

from shared import bootstrap
from shared.adapters.clouds import CLOUDS
from shared.settings import read
from tests.support.azure import SUB, Azure, account, estate, group, on_azure

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = {name: cloud.storage_suffix for name, cloud in CLOUDS.items()}
ON_AZURE = {"WEBSITE_OWNER_NAME": f"{SUB}+rg-plan-WestEuropewebspace-Linux", "WEBSITE_RESOURCE_GROUP": "RG-Data"}
CLIENT = "33333333-3333-3333-3333-333333333333"


class Nobody:
    """A credential without a token."""

    async def get_token(self, *_scopes: str, **_options: Any) -> NoReturn:
        raise ClientAuthenticationError("nobody is signed in")


@pytest.mark.parametrize(
    ("environ", "who"),
    [
        ({}, "managed identity ''"),
        ({"CMK_IDENTITY_CLIENT_ID": CLIENT}, f"managed identity {CLIENT!r}"),
        ({"AZURE_FUNCTIONS_ENVIRONMENT": "Production"}, "managed identity ''"),
        ({"AZURE_FUNCTIONS_ENVIRONMENT": "Development"}, "whoever is signed in here"),
        ({"AZURE_FUNCTIONS_ENVIRONMENT": "Development", "IDENTITY_ENDPOINT": "http://x"}, "managed identity ''"),
    ],
)
def test_the_app_signs_in_as_its_managed_identity_and_as_a_person_on_that_person_s_machine_only(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], who: str
) -> None:
    signed_in: list[str] = []

    def as_(name: str) -> Nobody:
        signed_in.append(name)
        return Nobody()

    monkeypatch.setattr(bootstrap, "signed_in_user", lambda: as_("whoever is signed in here"))
    monkeypatch.setattr(bootstrap, "managed_identity", lambda client_id: as_(f"managed identity {client_id!r}"))
    running = bootstrap.build({"AzureWebJobsStorage__accountName": "cmkautopilot", **environ})
    assert asyncio.run(running.context.ports.myself.principals()) == frozenset()
    assert signed_in == [who]


@pytest.mark.parametrize(
    ("environ", "groups"),
    [
        (ON_AZURE, {f"/subscriptions/{SUB}/resourcegroups/rg-data"}),
        ({"CMK_OWN_RESOURCE_GROUP": f"{group()}/"}, {group().lower()}),
        ({**ON_AZURE, "CMK_OWN_RESOURCE_GROUP": "/subscriptions/s/resourceGroups/more"}, 2),
        ({"WEBSITE_RESOURCE_GROUP": "rg-data"}, set()),
        ({"WEBSITE_OWNER_NAME": ON_AZURE["WEBSITE_OWNER_NAME"]}, set()),
    ],
)
def test_the_app_s_own_resource_group_is_what_azure_says_and_what_is_set(environ: dict[str, str], groups: Any) -> None:
    there = {"AzureWebJobsStorage__accountName": "cmkautopilot", "WEBSITE_SITE_NAME": "app", **environ}
    found, problems = read(there, SUFFIXES)
    here = found.own.resource_groups
    assert (len(here) if isinstance(groups, int) else here) == groups
    assert ("CMK_OWN_RESOURCE_GROUP" in [one.setting for one in problems]) is (not here)


def test_what_lies_in_the_resource_group_that_azure_says_the_app_is_in_is_never_written() -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        (report,) = await azure.check(one)
        assert [reason.value for reason in report.reasons] == ["own_resource"]
        assert azure.calls("write") == []

    on_azure(estate(one), story, environ=ON_AZURE)


STORAGE = "DefaultEndpointsProtocol=https;AccountName=Conn;AccountKey=x;EndpointSuffix=core.windows.net"


@pytest.mark.parametrize(
    ("environ", "accounts"),
    [
        ({"AzureWebJobsStorage__accountName": "Host"}, {"host"}),
        ({"AzureWebJobsStorage": STORAGE}, {"conn"}),
        ({"AzureWebJobsStorage__queueServiceUri": "https://queues.queue.core.windows.net"}, {"queues"}),
        (
            {
                "AzureWebJobsStorage__queueServiceUri": "https://queues.queue.core.windows.net",
                "AzureWebJobsStorage__blobServiceUri": "https://blobs.blob.core.windows.net",
                "CMK_EVIDENCE": "https://proofs.blob.core.windows.net/kept",
                "CMK_POLICY": "https://rules.blob.core.windows.net/policy/policy.yaml",
            },
            {"queues", "blobs", "proofs", "rules"},
        ),
    ],
)
def test_every_storage_account_that_the_app_stands_on_is_its_own(environ: dict[str, str], accounts: set[str]) -> None:
    found, _ = read(environ, SUFFIXES)
    assert found.own.storage_accounts == accounts


@pytest.mark.parametrize("topic", ["http://t.westeurope-1.eventgrid.azure.net/api/events", "t.eventgrid.azure.net"])
def test_a_topic_that_is_no_https_endpoint_gets_nothing_and_is_a_problem(topic: str) -> None:
    found, problems = read({"CMK_OUTCOME_TOPIC": topic, "AzureWebJobsStorage__accountName": "h"}, SUFFIXES)
    assert found.outcome_topic == ""
    assert "CMK_OUTCOME_TOPIC" in [one.setting for one in problems]


def test_a_cloud_that_is_none_is_a_problem_and_the_public_one_is_taken() -> None:
    found, problems = read({"CMK_CLOUD": "AzureGermanCloud", "AzureWebJobsStorage__accountName": "h"}, SUFFIXES)
    assert found.cloud == "AzureCloud"
    assert "CMK_CLOUD" in [one.setting for one in problems]


@pytest.mark.parametrize("wrong", ["x=y", f"{CLIENT}", f"{CLIENT}=me", f"{CLIENT}={CLIENT},{CLIENT}"])
def test_a_mistaken_list_of_azure_s_own_applications_lends_its_object_ids_to_none(wrong: str) -> None:
    found, problems = read({"CMK_FIRST_PARTY": wrong, "AzureWebJobsStorage__accountName": "h"}, SUFFIXES)
    assert found.first_party == {}
    assert "CMK_FIRST_PARTY" in [one.setting for one in problems]


@pytest.mark.parametrize(("one", "other"), list(permutations(CLOUDS, 2)))
def test_no_token_of_one_cloud_goes_to_a_host_of_another(one: str, other: str) -> None:
    here, there = CLOUDS[one], CLOUDS[other]
    hosts = [there.arm, f"kv{there.vault_suffix}", f"st.queue{there.storage_suffix}", f"srch{there.search_suffix}"]
    assert [host for host in (*hosts, f"t.r-1{there.events_suffix}") if here.scope_of(host)] == []
    mine = [here.arm, f"kv{here.vault_suffix}", f"st.queue{here.storage_suffix}", f"srch{here.search_suffix}"]
    assert len({here.scope_of(host) for host in mine} - {None}) == len(mine)


@pytest.mark.parametrize("name", ["shared", "functions"])
def test_an_app_whose_packages_are_not_its_own_does_not_load(tmp_path: Path, name: str) -> None:
    """The app's folder comes last on the worker's path, behind whatever is installed."""
    shutil.copytree(ROOT / name, tmp_path / "first" / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = f"import sys; sys.path[:0] = [{str(tmp_path / 'first')!r}, {str(ROOT)!r}]; import function_app"
    command = [sys.executable, "-B", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 1
    assert f"ImportError: '{name}' was imported from" in done.stderr


@pytest.mark.parametrize("name", ["AzureWebJobsStorage__accountName", "AzureWebJobsStorage__queueServiceUri", ""])
def test_an_app_without_a_queue_says_so(name: str) -> None:
    _, problems = read({name: "https://queues.queue.core.windows.net"} if name else {}, SUFFIXES)
    assert ("AzureWebJobsStorage" in [one.setting for one in problems]) is (not name)
