"""The policy as it is watched: a file or a blob, re-read in time, the last good one for a while, a bad one never."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox import blobs
from sandbox.faults import Faults
from shared.domain.policy import Mode
from shared.domain.reasons import Reason
from shared.domain.report import Waiting
from shared.errors import TryLater
from shared.ports import Policies
from shared.settings import read
from shared.usecases.health import health
from tests.support.azure import MID, OLD, Azure, account, estate, on_azure
from tests.support.policies import PolicyFile, put_blob, text
from tests.support.whole_app import WholeApp, with_app

REPORT = "  - name: all\n    rotation: report\n"
BLOB = "https://stpolicy.blob.core.windows.net/cmk/policies/prod.yaml"
SECOND = timedelta(seconds=1)
LOOK_AGAIN, LAST_GOOD_FOR = 20 * SECOND, timedelta(minutes=10)  # what the docs promise


async def passes(span: timedelta) -> None:
    await asyncio.sleep(span.total_seconds())


def policies(azure: Azure) -> Policies:
    return azure.app.context.ports.policies


async def refused(azure: Azure) -> str:
    with pytest.raises(TryLater) as told:
        await policies(azure).current()
    assert told.value.reason is Reason.POLICY_UNREADABLE
    return told.value.detail


def test_a_file_that_was_changed_holds_within_twenty_seconds(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path)

    async def story(azure: Azure) -> None:
        assert (await policies(azure).current()).rules[0].rotation is Mode.FIX
        file.write(text(REPORT))
        assert (await policies(azure).current()).rules[0].rotation is Mode.FIX
        await passes(LOOK_AGAIN)
        assert (await policies(azure).current()).rules[0].rotation is Mode.REPORT

    on_azure(estate(), story, environ=file.environ)


def test_a_change_that_leaves_the_file_as_long_as_it_was_holds_as_well(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path, "  - {name: all, rotation: fix   }\n")

    async def story(azure: Azure) -> None:
        assert (await policies(azure).current()).rules[0].rotation is Mode.FIX
        file.write(text("  - {name: all, rotation: report}\n"))
        await passes(LOOK_AGAIN)
        assert (await policies(azure).current()).rules[0].rotation is Mode.REPORT

    on_azure(estate(), story, environ=file.environ)


@pytest.mark.parametrize(
    "content",
    ["rules: [", text("  - name: all\n    rotation: fixx\n"), b"\xff\xfe\x00", "", "x: &x [*x]", "#" * 300_000],
    ids=["no YAML", "a wrong word", "no UTF-8", "nothing", "an alias of itself", "size"],
)
def test_a_policy_that_is_wrong_stops_every_write_until_it_is_right_again(tmp_path: Path, content: str | bytes) -> None:
    file, one = PolicyFile(tmp_path), account("st1")

    async def story(azure: Azure) -> None:
        await policies(azure).current()
        file.write(content)
        await passes(LOOK_AGAIN)
        (report,) = await azure.check(one)
        assert isinstance(report.outcome, Waiting)
        assert report.reasons == (Reason.POLICY_UNREADABLE,)
        assert azure.calls("write") == []
        assert (await health(azure.app.context, azure.app.checkup, (), {})).writes == "off"
        file.write(text())
        await azure.drain(until=timedelta(hours=1))
        assert azure.in_use(one) == MID

    on_azure(estate(one), story, environ=file.environ)


def test_a_wrong_policy_does_not_come_right_by_being_looked_at_again(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path)

    async def story(azure: Azure) -> None:
        await policies(azure).current()
        file.write(text("  - name: all\n    rotation: fixx\n"))
        for _ in range(3):
            await passes(LOOK_AGAIN)
            assert await refused(azure) == (
                "line 5: rules[0].rotation: Invalid enum value 'fixx'; say fix, report, ignore"
            )

    on_azure(estate(), story, environ=file.environ)


def test_a_policy_that_cannot_be_fetched_holds_for_ten_minutes_and_health_says_so(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path)

    async def story(azure: Azure) -> None:
        await policies(azure).current()
        file.path.rename(tmp_path / "gone")
        await passes(LAST_GOOD_FOR - SECOND)
        assert (await policies(azure).current()).rules
        (told,) = (await health(azure.app.context, azure.app.checkup, (), {})).problems
        assert told.startswith("policy: FileNotFoundError")
        await passes(LOOK_AGAIN)
        assert "FileNotFoundError" in await refused(azure)
        (tmp_path / "gone").rename(file.path)
        await passes(LOOK_AGAIN)
        assert (await policies(azure).current()).rules
        assert (await health(azure.app.context, azure.app.checkup, (), {})).problems == ()

    on_azure(estate(), story, environ=file.environ)


def test_an_app_that_begins_without_its_policy_writes_nothing(tmp_path: Path) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        await azure.check(one)
        assert azure.calls("write") == []
        assert (await health(azure.app.context, azure.app.checkup, (), {})).healthy is False

    on_azure(estate(one), story, environ={"CMK_POLICY": str(tmp_path / "none.yaml")})


def test_health_names_the_line_of_a_wrong_policy_over_http(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path, "  - name: all\n    rotation: fixx\n")

    async def story(app: WholeApp) -> None:
        found = await app.get("health")
        assert (found.status, found.body["writes"]) == (503, "off")
        assert found.body["problems"] == [
            "policy: line 5: rules[0].rotation: Invalid enum value 'fixx'; say fix, report, ignore"
        ]

    with_app(estate(), story, environ=file.environ)


def blob_reads(azure: Azure) -> list[int]:
    return [one.status for one in azure.world.log if one.kind == "blob" and "stpolicy" in one.url]


def test_a_policy_in_a_blob_is_fetched_again_only_when_it_is_another_one() -> None:
    async def story(azure: Azure) -> None:
        put_blob(azure.world, "stpolicy", "cmk/policies/prod.yaml", text())
        azure.world.log.clear()
        for _ in range(3):
            assert (await policies(azure).current()).rules[0].rotation is Mode.FIX
            await passes(LOOK_AGAIN)
        assert blob_reads(azure) == [206, 304, 304]
        await passes(timedelta(minutes=30))
        assert (await policies(azure).current()).rules[0].rotation is Mode.FIX
        assert await policies(azure).problem() == ""
        put_blob(azure.world, "stpolicy", "cmk/policies/prod.yaml", text(REPORT))
        await passes(LOOK_AGAIN)
        assert (await policies(azure).current()).rules[0].rotation is Mode.REPORT

    on_azure(estate(), story, environ={"CMK_POLICY": BLOB})


def test_writes_off_in_the_blob_stops_the_app_within_a_minute_and_nothing_is_lost() -> None:
    users = [account(f"st{number}") for number in range(3)]

    async def story(azure: Azure) -> None:
        put_blob(azure.world, "stpolicy", "cmk/policies/prod.yaml", text())
        await policies(azure).current()
        put_blob(azure.world, "stpolicy", "cmk/policies/prod.yaml", text(writes="off"))
        await passes(timedelta(minutes=1))
        await azure.check_key()
        await azure.drain(until=timedelta(hours=2))
        assert azure.calls("write") == []
        assert (await health(azure.app.context, azure.app.checkup, (), {})).writes == "off"
        put_blob(azure.world, "stpolicy", "cmk/policies/prod.yaml", text())
        await azure.drain(until=timedelta(minutes=15))
        assert [azure.in_use(one) for one in users] == [MID] * 3
        assert azure.waiting() == []

    on_azure(estate(*users), story, environ={"CMK_POLICY": BLOB})


def test_a_blob_that_is_gone_or_refused_holds_for_ten_minutes() -> None:
    async def story(azure: Azure) -> None:
        put_blob(azure.world, "stpolicy", "cmk/policies/prod.yaml", text())
        await policies(azure).current()
        del blobs.containers(azure.world, "stpolicy")["cmk"].blobs["policies/prod.yaml"]
        await passes(LAST_GOOD_FOR - SECOND)
        assert (await policies(azure).current()).rules
        assert "BlobNotFound" in await policies(azure).problem()
        await passes(LOOK_AGAIN)
        assert "BlobNotFound" in await refused(azure)
        faults = Faults(lambda _: "blob")
        faults.install(azure.world)
        faults.put([{"match": {"kind": "blob", "host": "stpolicy.blob.core.windows.net"}, "do": {"status": 403}}])
        await passes(LOOK_AGAIN)
        assert "403" in await refused(azure)

    on_azure(estate(), story, environ={"CMK_POLICY": BLOB})


@pytest.mark.parametrize(
    "url",
    [
        "http://stpolicy.blob.core.windows.net/cmk/policy.yaml",
        "https://stpolicy.blob.core.windows.net/cmk/policy.yaml?sig=secret",
        "https://stpolicy.blob.core.windows.net.evil.example/cmk/policy.yaml",
        "https://evil.example/cmk/policy.yaml",
        "https://stpolicy.blob.core.windows.net:8443/cmk/policy.yaml",
        "https://stpolicy.blob.core.windows.net/policy.yaml",
        "https://stpolicy.blob.core.windows.net/cmk/../policy.yaml",
    ],
)
def test_an_address_that_is_no_blob_of_the_cloud_is_a_problem_and_nothing_is_written(url: str) -> None:
    one = account("st1")

    async def story(azure: Azure) -> None:
        (problem,) = azure.app.problems
        assert problem.setting == "CMK_POLICY"
        assert "secret" not in problem.text
        await azure.check(one)
        assert azure.calls("write") == []
        assert azure.in_use(one) == OLD

    on_azure(estate(one), story, environ={"CMK_POLICY": url})


def test_the_policys_account_is_one_of_those_that_the_app_never_changes() -> None:
    environ: dict[str, Any] = {"CMK_POLICY": BLOB, "AzureWebJobsStorage__accountName": "stqueue"}
    settings, problems = read(environ, {"AzureCloud": ".core.windows.net"})
    assert problems == ()
    assert {"stpolicy", "stqueue"} <= settings.own.storage_accounts
    assert {"stpolicy.blob.core.windows.net", "stqueue.blob.core.windows.net"} == settings.blob_hosts
