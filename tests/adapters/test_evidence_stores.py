"""The evidence in append blobs and in a folder: written once or twice, never lost in silence, read in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from azure.identity.aio import ManagedIdentityCredential
from msgspec.structs import replace

from sandbox import blobs
from sandbox.faults import Faults
from sandbox.transport import InProcessTransport
from shared.adapters import evidence, evidence_blobs, evidence_reading
from shared.adapters.clouds import CLOUDS
from shared.adapters.connection import Connection
from shared.adapters.evidence import EvidenceSink, Store
from shared.adapters.evidence_blobs import BlobStore
from shared.adapters.evidence_folder import FolderStore
from shared.adapters.evidence_reading import EvidenceReader
from shared.domain.evidence_query import Page, Query, parse_mark
from shared.domain.keys import KeyId
from shared.domain.reasons import Reason
from shared.domain.report import Answered, Report, Rotated
from shared.domain.work import Cause, RotateKey, Source
from shared.errors import AppError, Refusal
from tests.support.azure import MID, START, Azure, estate, on_azure

HOUR = timedelta(hours=1)
HOST = "cmkautopilot.blob.core.windows.net"
CONTAINER = f"https://{HOST}/cmk-evidence"


def rotated(at: datetime, name: str = "cmk") -> Report:
    key = KeyId("kv-main.vault.azure.net", name)
    return Report(at, RotateKey(key, Cause("cause-1", Source.HTTP), at), Rotated(key, MID))


class Place:
    """A store, sinks that write to it, and a reader."""

    def __init__(self, azure: Azure, store: Store) -> None:
        self.azure = azure
        self.store = store
        self.fault = Faults(lambda _: "blob")
        self.fault.install(azure.world)

    def sink(self, name: str = "one") -> EvidenceSink:
        """Return the sink of an instance; its lines are called name-1, name-2, ..."""
        numbers = count(1)
        return EvidenceSink(self.store, lambda: f"{name}-{next(numbers):03}")

    async def read(self, start: datetime = START, end: datetime = START + 48 * HOUR, **more: Any) -> Page:
        return await EvidenceReader(self.store).read(Query(start, end, more.pop("limit", 1000), **more))

    async def ids(self, **more: Any) -> list[str]:
        return [line["id"] for line in (await self.read(**more)).lines]

    async def names(self) -> list[str]:
        return await self.store.names("")

    async def raw(self, name: str) -> bytes:
        return b"".join([piece async for piece in self.store.pieces(name)])

    def blob(self, name: str) -> blobs.Blob:
        return blobs.containers(self.azure.world, "cmkautopilot")["cmk-evidence"].blobs[name]


Story = Callable[[Place], Coroutine[Any, Any, None]]


def blob_store(azure: Azure, url: str = CONTAINER) -> BlobStore:
    transport = InProcessTransport(azure.cloud)
    cloud = replace(CLOUDS["AzureCloud"], blob_hosts=frozenset({HOST}))
    connection = Connection(cloud, lambda: transport, lambda: ManagedIdentityCredential(transport=transport))
    return BlobStore(connection, url)


def in_blobs(story: Story, **described: Any) -> None:
    async def main(azure: Azure) -> None:
        await story(Place(azure, blob_store(azure)))

    on_azure(estate(**described), main)


def in_folder(folder: Path, story: Story) -> None:
    async def main(azure: Azure) -> None:
        await story(Place(azure, FolderStore(str(folder))))

    on_azure(estate(), main)


@pytest.fixture(params=["blobs", "folder"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    return in_blobs if request.param == "blobs" else lambda story: in_folder(tmp_path / "proofs", story)


def test_each_instance_and_hour_has_a_file_of_its_own(anywhere: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        one, two = place.sink("one"), place.sink("two")
        for at in (START, START + timedelta(minutes=59), START + HOUR):
            await one.write(rotated(at))
        await two.write(rotated(START + timedelta(minutes=5)))
        assert await place.names() == [
            "2026/05/01/08/one.jsonl",
            "2026/05/01/08/two.jsonl",
            "2026/05/01/09/one.jsonl",
        ]
        assert await place.ids() == ["one-001", "two-001", "one-003", "one-004"]

    anywhere(story)


def test_what_is_no_evidence_is_not_written(anywhere: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        await place.sink().write(Report(START, rotated(START).item, Answered()))
        assert (await place.names(), await place.read()) == ([], Page((), None, 0))

    anywhere(story)


def test_a_damaged_line_is_passed_over_and_counted(anywhere: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        sink = place.sink()
        await sink.write(rotated(START))
        for broken in (b'{"id": "cut sho\n', b"\xff\xfe\n", b"[]\n", b'{"id": "x", "at": "2026-05-01T08:00:00"}\n'):
            await place.store.append("2026/05/01/08/one", broken)
        await place.store.append("2026/05/01/08/one", b"[" * 100_000 + b"\n")
        await sink.write(rotated(START + timedelta(minutes=1)))
        await place.store.append("2026/05/01/08/one", b'{"id": "no end of li')
        page = await place.read()
        assert ([line["id"] for line in page.lines], page.damaged) == (["one-001", "one-003"], 6)

    anywhere(story)


def test_pages_follow_each_other_without_a_gap_or_a_repetition(anywhere: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        sinks = [place.sink(name) for name in ("one", "two", "three")]
        for minute in range(0, 300, 7):
            await sinks[minute % 3].write(rotated(START + timedelta(minutes=minute // 2)))
        every = await place.ids()
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await place.read(limit=4, after=parse_mark(cursor) if cursor else None)
            found += [line["id"] for line in page.lines]
            assert len(page.lines) <= 4
            cursor = page.cursor
        assert len(every) == 43
        assert found == every

    anywhere(story)


def test_a_page_is_the_first_lines_even_of_an_hour_with_many_more(anywhere: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        sink = place.sink()
        for second in reversed(range(40)):
            await sink.write(rotated(START + timedelta(seconds=second)))
        page = await place.read(limit=3)
        assert [line["at"][-3:] for line in page.lines] == ["00Z", "01Z", "02Z"]
        assert page.cursor is not None

    anywhere(story)


def test_only_what_is_asked_for_is_read(anywhere: Callable[[Story], None]) -> None:
    async def story(place: Place) -> None:
        sink = place.sink()
        for hour in (0, 3, 20, 30):
            await sink.write(rotated(START + hour * HOUR, "cmk" if hour % 20 else "other"))
        assert await place.ids(start=START + HOUR, end=START + 20 * HOUR) == ["one-003"]
        assert await place.ids(key="https://kv-main.vault.azure.net/keys/other") == ["one-001", "one-004"]
        assert await place.ids(start=START + 21 * HOUR) == ["one-005"]

    anywhere(story)


def test_an_answer_ends_when_enough_was_looked_into(
    anywhere: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_reading, "_MOST_FILES", 2)

    async def story(place: Place) -> None:
        sink = place.sink()
        for hour in range(5):
            await sink.write(rotated(START + hour * HOUR))
        nothing = await place.read(key="https://kv-main.vault.azure.net/keys/none")
        assert (nothing.lines, nothing.cursor) == ((), "2026-05-01T10:00:00Z_")
        second = await place.read(after=parse_mark(nothing.cursor or ""))
        assert [line["id"] for line in second.lines] == ["one-004", "one-005"]

    anywhere(story)


def test_a_file_is_read_in_pieces(anywhere: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_blobs, "_PIECE", 100)

    async def story(place: Place) -> None:
        sink = place.sink()
        for second in range(5):
            await sink.write(rotated(START + timedelta(seconds=second)))
        assert len(await place.ids()) == 5

    anywhere(story)


def test_lines_that_wait_for_their_turn_go_together() -> None:
    async def story(place: Place) -> None:
        sink = place.sink()
        await asyncio.gather(*(sink.write(rotated(START)) for _ in range(20)))
        assert place.blob("2026/05/01/08/one.jsonl").blocks == 2  # the first went alone
        await asyncio.gather(*(sink.write(rotated(START)) for _ in range(20)))
        assert place.blob("2026/05/01/08/one.jsonl").blocks == 4
        assert len(await place.ids()) == 40

    in_blobs(story)


def test_one_append_is_4_mib_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert evidence.LARGEST == 4 * 2**20
    monkeypatch.setattr(evidence, "LARGEST", 1000)

    async def story(place: Place) -> None:
        sink = place.sink()
        await asyncio.gather(*(sink.write(rotated(START)) for _ in range(20)))
        blob = place.blob("2026/05/01/08/one.jsonl")
        assert blob.blocks > len(blob.data) / 1000
        assert len(await place.ids()) == 20

    in_blobs(story)


def test_a_blob_that_is_full_is_followed_by_one_with_the_next_number() -> None:
    async def story(place: Place) -> None:
        sink = place.sink()
        await sink.write(rotated(START))
        place.blob("2026/05/01/08/one.jsonl").blocks = blobs.MOST_BLOCKS
        await sink.write(rotated(START))
        await sink.write(rotated(START))
        assert await place.names() == ["2026/05/01/08/one-2.jsonl", "2026/05/01/08/one.jsonl"]
        assert place.blob("2026/05/01/08/one-2.jsonl").blocks == 2
        assert await place.ids() == ["one-001", "one-003", "one-004"]

    in_blobs(story)


def test_a_line_whose_append_lost_its_answer_is_stored_twice_and_read_once() -> None:
    async def story(place: Place) -> None:
        sink = place.sink()
        await sink.write(rotated(START))
        place.fault.put([{"match": {"method": "PUT"}, "times": 1, "do": {"reset": "after"}}])
        await sink.write(rotated(START))
        assert (await place.raw("2026/05/01/08/one.jsonl")).count(b"one-003") == 2
        assert await place.ids() == ["one-001", "one-003"]

    in_blobs(story)


def test_lines_that_were_not_taken_go_with_the_next_report() -> None:
    async def story(place: Place) -> None:
        sink = place.sink()
        place.fault.put([{"match": {"host": HOST}, "do": {"status": 503}}])
        told = await asyncio.gather(*(sink.write(rotated(START)) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(one, AppError) and one.reason is Reason.SERVICE_UNAVAILABLE for one in told)
        assert place.azure.time.now() - START < timedelta(seconds=10)  # few tries for all: the work is not held up
        place.fault.put([])
        await sink.write(rotated(START + HOUR))
        assert len(await place.ids()) == 6

    in_blobs(story)


def test_a_store_that_takes_nothing_costs_the_oldest_lines_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(evidence, "MOST_WAITING", 3)

    async def story(place: Place) -> None:
        sink = place.sink()
        place.fault.put([{"match": {"host": HOST}, "do": {"status": 403}}])
        for second in range(5):
            with pytest.raises(Refusal) as refused:
                await sink.write(rotated(START + timedelta(seconds=second)))
            assert refused.value.reason is Reason.NO_RIGHTS
        place.fault.put([])
        await sink.write(rotated(START + HOUR))
        assert len(await place.ids()) == 4
        assert sum("evidence are lost" in line for line in caplog.messages) == 2

    in_blobs(story)


def test_a_container_that_keeps_what_is_written_takes_evidence() -> None:
    async def story(place: Place) -> None:
        for name in ("one", "two"):
            sink = place.sink(name)
            await sink.write(rotated(START))
            await sink.write(rotated(START))
        assert len(await place.ids()) == 4

    in_blobs(story, immutable=["cmkautopilot/cmk-evidence"])


def test_what_others_put_into_the_container_is_left_alone() -> None:
    async def story(place: Place) -> None:
        await place.sink().write(rotated(START))
        for stem in ("2026/05/01/notes", "2026/05/01/99/one", "2026/05/01/08/below/one"):
            await place.store.append(stem, b"not ours\n")
        page = await place.read()
        assert (len(page.lines), page.damaged) == (1, 0)

    in_blobs(story)


def test_no_token_goes_to_a_blob_host_that_was_not_set() -> None:
    async def story(place: Place) -> None:
        other = EvidenceSink(blob_store(place.azure, "https://other.blob.core.windows.net/kept"), lambda: "line")
        with pytest.raises(Refusal) as refused:
            await other.write(rotated(START))
        assert refused.value.reason is Reason.FOREIGN_HOST
        assert [one for one in place.azure.world.log if "other.blob" in one.url] == []

    in_blobs(story)


def test_a_refusal_tells_storage_s_own_code() -> None:
    async def story(place: Place) -> None:
        code = "AuthorizationPermissionMismatch"
        place.fault.put([{"match": {"host": HOST}, "do": {"status": 403, "code": code}}])
        with pytest.raises(Refusal, match=code):
            await place.sink().write(rotated(START))

    in_blobs(story)


def test_a_folder_that_cannot_be_written_says_which_setting_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def story(place: Place) -> None:
        with pytest.raises(Refusal, match="CMK_EVIDENCE") as refused:
            await place.sink().write(rotated(START))
        assert refused.value.reason is Reason.MISCONFIGURED

    in_folder(tmp_path / "file", story)


def test_a_line_in_a_folder_is_one_line_of_json(tmp_path: Path) -> None:
    in_folder(tmp_path, lambda place: place.sink().write(rotated(START)))
    (file,) = tmp_path.rglob("*.jsonl")
    (line,) = file.read_text("utf-8").splitlines()
    assert json.loads(line)["outcome"] == "rotated"
