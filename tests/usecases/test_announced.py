"""What is about to be written is put down before: the record is complete however often the process dies."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.keys import parse_key_url
from shared.domain.reasons import Reason
from shared.domain.report import Begun, Converged, Report
from shared.domain.work import Cause, RotateKey, Source, Sweep, encode
from shared.usecases.handle import handle
from shared.usecases.preview import preview
from tests.support.azure import MID, OLD, Azure, account, audit_events, estate, on_azure
from tests.support.enforced import changes, enforced, item, refusal
from tests.support.enforcing import ALL, CREATE, KEY, bare_vault, nothing_yet, plain, policy
from tests.support.recorded import kept, unrecorded


class DiedError(BaseException):
    """The process ends here."""


def dying(azure: Azure, where: str, *, after: bool, times: int = 1) -> None:
    """Let the process die at a write there, before or after Azure made it."""
    left = [times]

    def here(call: Call) -> None:
        if call.method in {"PUT", "PATCH", "POST"} and where in call.path.lower() and left[0]:
            left[0] -= 1
            raise DiedError

    def before(call: Call) -> None:
        if not after:
            here(call)

    def afterwards(call: Call, answer: Answer) -> Answer:
        if after:
            here(call)
        return answer

    azure.world.hooks = Hooks(before, afterwards)


async def worked(azure: Azure) -> None:
    while True:
        try:
            await azure.drain(until=timedelta(hours=2))
        except DiedError:
            azure.app = azure.instance()
        else:
            return


def evidence(tmp_path: Path) -> dict[str, str]:
    return {"CMK_EVIDENCE": str(tmp_path / "evidence")}


@pytest.mark.parametrize("times", [1, 4])
def test_a_move_whose_process_died_after_it_is_in_the_evidence(tmp_path: Path, times: int) -> None:
    one = account("st1", OLD)

    async def story(azure: Azure) -> None:
        dying(azure, "/st1", after=True, times=times)
        await azure.put(item(azure, one))
        await worked(azure)
        assert azure.in_use(one) == MID
        (line,) = [line for line in await kept(azure) if line["outcome"] == "begun"]
        (begun,) = line["begins"]
        assert (begun["step"], begun["place"]) == ("SetKeys", one["id"])
        (change,) = begun["said"]["changes"]
        assert (change["fromKey"].endswith(OLD), change["toKey"].endswith(MID)) == (True, True)
        assert line["correlationId"] == "cause-1"
        assert await unrecorded(azure) == []

    on_azure(estate(one), story, environ=evidence(tmp_path))


def test_a_move_that_was_told_of_is_one_line(tmp_path: Path) -> None:
    one = account("st1", OLD)

    async def story(azure: Azure) -> None:
        await azure.check(one)
        (line,) = await kept(azure)
        assert (line["outcome"], len(line["wrote"]), "begins" in line) == ("converged", 1, False)
        stored = "".join(file.read_text() for file in (tmp_path / "evidence").rglob("*.jsonl"))
        assert stored.count("\n") == 2  # both are stored, and what was put down first is closed
        assert stored.index('"begun"') < stored.index('"converged"')

    on_azure(estate(one), story, environ=evidence(tmp_path))


def test_a_move_that_azure_refuses_again_and_again_is_put_down_again_only_after_a_line_that_tells_of_it(
    tmp_path: Path,
) -> None:
    one = account("st1", OLD)

    async def story(azure: Azure) -> None:
        busy = Answer.of({"error": {"code": "Conflict", "message": "m"}}, 409)
        azure.world.hooks = Hooks(before=lambda call: busy if call.method == "PATCH" else None)
        await azure.put(item(azure, one))
        await azure.drain(until=timedelta(hours=1))
        assert len(changes(azure)) > 5
        stored = "".join(file.read_text() for file in (tmp_path / "evidence").rglob("*.jsonl"))
        assert (stored.count('"begun"'), stored.count('"waiting"')) == (2, 1)

    on_azure(estate(one), story, environ=evidence(tmp_path))


@pytest.mark.parametrize("after", [True, False])
def test_a_version_whose_process_died_is_in_the_evidence(tmp_path: Path, *, after: bool) -> None:
    async def story(azure: Azure) -> None:
        dying(azure, "/rotate", after=after)
        await azure.put(RotateKey(parse_key_url(KEY).key, Cause("cause-1", Source.HTTP), azure.time.now()))
        await worked(azure)
        key = azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert len(key.versions) == 3
        assert [one["step"] for line in await kept(azure) for one in line.get("begins", ())] == ["NewVersion"]
        assert await unrecorded(azure) == []

    on_azure(estate(account("st1", MID)), story, environ=evidence(tmp_path))


@pytest.mark.parametrize("wanted", ["report", "fix"])
def test_reports_and_dry_runs_put_nothing_down(tmp_path: Path, wanted: str) -> None:
    one = plain()

    async def story(azure: Azure) -> None:
        assert await preview(azure.app.context, item(azure, one))
        if wanted == "report":
            assert refusal(await enforced(azure, one)) is Reason.NOT_ENCRYPTED
            await azure.put(Sweep(Cause("c", Source.TIMER), azure.time.now()))
            await azure.drain()
        assert changes(azure) == []
        folder = tmp_path / "evidence"
        assert not [file for file in folder.rglob("*.jsonl") if "begun" in file.read_text()]

    environ = policy(tmp_path, ALL, CREATE, encryption=wanted) | evidence(tmp_path)
    on_azure(nothing_yet(one, bare_vault()), story, environ=environ)


def test_what_is_in_order_leaves_no_line(tmp_path: Path) -> None:
    one = account("st1", MID)

    async def story(azure: Azure) -> None:
        assert isinstance((await azure.check(one))[-1].outcome, Converged)
        await azure.put(Sweep(Cause("c", Source.TIMER), azure.time.now()))
        await azure.drain()
        assert await kept(azure) == []

    on_azure(estate(one, audit_events()), story, environ=evidence(tmp_path))


def test_what_is_put_down_goes_to_no_topic(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.check(account("st1", OLD))
        assert [one["type"].rpartition(".")[2] for one in azure.outcomes()] == ["Converged"]
        assert "closes" not in str(azure.outcomes())

    on_azure(estate(account("st1", OLD)), story, environ=evidence(tmp_path))


def test_what_was_put_down_and_another_hand_did_meanwhile_is_closed_by_a_line(tmp_path: Path) -> None:
    one = account("st1", OLD)

    async def story(azure: Azure) -> None:
        journal = azure.app.context.ports.journal
        append = journal.append

        async def slow(report: Report) -> None:
            await append(report)
            if isinstance(report.outcome, Begun):
                await asyncio.sleep(6)  # what was known is old now
                azure.app.context.ports.journal.append = append  # type: ignore[method-assign]
                other = azure.instance()
                await handle(other.context, encode(item(azure, one)))

        journal.append = slow  # type: ignore[method-assign]
        await azure.check(one)
        assert azure.in_use(one) == MID
        lines = await kept(azure)
        assert [line["outcome"] for line in lines] == ["converged", "converged"]
        assert [len(line.get("wrote", ())) for line in lines] == [1, 0]
        assert len(lines[1]["closes"]) == 1

    on_azure(estate(one), story, environ=evidence(tmp_path))
