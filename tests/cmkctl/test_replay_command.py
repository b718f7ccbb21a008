"""`cmkctl replay` against the whole app, and against servers that are none."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cmkctl.__main__ import main
from cmkctl.app import Result, WrongUrl, checked_url
from cmkctl.recorded import Recorded, moment_of
from cmkctl.replay import send_all, summary
from cmkctl.schedule import LARGEST_REQUEST, Disorder, Sending, encoded, requests, schedule
from tests.support.azure import MID, OLD, START, account, estate
from tests.support.grid_events import event, key_event
from tests.support.whole_app import CLOUD, WholeApp, with_app

BEHIND = account("st1")


def recorded(*events: Any) -> list[Recorded]:
    return [Recorded("events.json", one, moment_of(one)) for one in events]


def at(minutes: float, **more: Any) -> dict[str, Any]:
    """Return an event that happened so long after the start."""
    return {**key_event(**more), "eventTime": (START + timedelta(minutes=minutes)).isoformat()}


class ToApp:
    """Sends to the app in this process, and notes when."""

    def __init__(self, app: WholeApp) -> None:
        self.app = app
        self.sent: list[tuple[float, list[str]]] = []

    async def __call__(self, body: bytes, *, dry_run: bool) -> tuple[int, Any]:
        now = asyncio.get_running_loop().time()
        ids = [one["id"] for one in json.loads(body) if isinstance(one, dict) and "id" in one]
        self.sent.append((now, ids))
        reply = await self.app.post(f"replay?dryRun={str(dry_run).lower()}", body)
        return reply.status, reply.body


def replayed(events: list[Recorded], how: Disorder, *, dry_run: bool = False) -> tuple[list[Result], ToApp, str]:
    """Replay events into a fresh app; return the results, what was sent when, and the version in use afterwards."""
    kept: list[ToApp] = []

    async def story(app: WholeApp) -> tuple[list[Result], str]:
        kept.append(ToApp(app))
        found = await send_all(kept[0], schedule(events, how), dry_run=dry_run)
        await app.run_until_quiet(timedelta(minutes=5))  # a look may have been put back for a moment
        return found, app.in_use(BEHIND)

    found, used = with_app(estate(BEHIND), story)
    return found, kept[0], used


def test_events_are_sent_as_fast_as_possible_and_each_is_counted() -> None:
    events = recorded(at(0), at(600), event("Contoso.Other", {}), key_event(schema=CLOUD), {"id": "no type"}, 7)
    found, to, used = replayed(events, Disorder())
    assert [one.came for one in found] == ["put", "put", "ignored", "put", "ignored", "ignored"]
    assert {one.what for one in found if one.came == "put"} == {"key"}
    assert (len(to.sent), used) == (1, MID)


def test_a_dry_run_puts_nothing() -> None:
    found, to, used = replayed(recorded(at(0), at(1)), Disorder(shuffle=True, duplicate="100%"), dry_run=True)
    assert [one.came for one in found] == ["put"] * 4
    assert to.app.queued() == 0
    assert used == OLD


def test_the_recorded_spacing_is_kept_at_any_speed() -> None:
    events = recorded(at(0, id_="a"), at(90, id_="c"), at(60, id_="b"), {"id": "no time"}, at(90, id_="d"))
    _, to, _ = replayed(events, Disorder(speed=60))
    begin = to.sent[0][0]
    assert [(round(moment - begin), ids) for moment, ids in to.sent] == [
        (0, ["a"]),
        (60, ["b", "no time"]),
        (90, ["c", "d"]),
    ]


def test_the_same_seed_gives_the_same_order_and_the_same_duplicates() -> None:
    events = recorded(*(at(number, id_=f"e{number}") for number in range(50)))

    def order(seed: int) -> list[str]:
        return [one.recorded.event["id"] for one in schedule(events, Disorder(seed, shuffle=True, duplicate="20%"))]

    assert order(1) == order(1) != order(2)
    assert (len(order(1)), set(order(1))) == (60, {f"e{number}" for number in range(50)})


def test_shuffled_events_change_places_and_the_moments_stay() -> None:
    events = recorded(*(at(number, id_=f"e{number}") for number in range(9)))
    plain, mixed = (schedule(events, Disorder(3, shuffle=shuffle, speed=1)) for shuffle in (False, True))
    assert [one.after for one in plain] == [one.after for one in mixed]
    assert [one.recorded for one in plain] != [one.recorded for one in mixed]


@pytest.mark.parametrize(("written", "sent"), [("0", 10), ("3", 13), ("30%", 13), ("250%", 35), ("25", 35)])
def test_duplicates_are_a_count_or_a_percentage_and_follow_their_original(written: str, sent: int) -> None:
    found = [one.recorded.event for one in schedule(recorded(*range(10)), Disorder(duplicate=written))]
    assert (len(found), found) == (sent, sorted(found))


def test_shuffled_duplicated_events_leave_the_app_where_plain_ones_do() -> None:
    events = recorded(*(at(number, id_=f"e{number}") for number in range(20)))
    found, to, used = replayed(events, Disorder(7, shuffle=True, duplicate="50%", speed=600))
    assert (len(found), {one.came for one in found}, used) == (30, {"put"}, MID)
    assert len(to.app.calls("write")) == 1


def test_one_event_that_the_app_cannot_read_does_not_take_its_neighbours_along() -> None:
    events = recorded(at(0), {"eventType": "x", "data": {"big": float("inf")}}, at(1), {"id": "x" * 1_100_000})
    found, _, used = replayed(events, Disorder())
    assert [one.came for one in found] == ["put", "failed", "put", "failed"]
    assert [one.what[:3] for one in found if one.came == "failed"] == ["400", "413"]
    assert used == MID


def test_requests_stay_below_what_the_app_reads() -> None:
    events = recorded(*({"id": "x" * 100_000} for _ in range(20)), *({"id": number} for number in range(250)))
    batches = [batch for _, batch in requests([Sending(one, 0.0) for one in events])]
    assert [one for batch in batches for one in batch] == events
    assert max(len(encoded([one.event for one in batch])) for batch in batches) <= LARGEST_REQUEST + 1000
    assert max(map(len, batches)) == 100


class _Answering(BaseHTTPRequestHandler):
    """Answers every request as the test wants, and keeps it."""

    wanted: tuple[int, dict[str, str], bytes]
    got: list[tuple[str, dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        status, headers, content = self.wanted
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def server(status: int, content: Any, **headers: str) -> Iterator[tuple[str, list[Any]]]:
    """Run a server that is not the app, on this machine, as long as the block lasts."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    handler = type("Handler", (_Answering,), {"wanted": (status, headers, raw), "got": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}", handler.got  # type: ignore[attr-defined]
        finally:
            running.shutdown()
            thread.join()


PUT = {"result": "put", "eventId": "e", "item": {"type": "key"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "one.json").write_text(json.dumps(key_event()))
    monkeypatch.setenv("CMK_FUNCTION_KEY", "the-key")
    monkeypatch.delenv("CMK_APP_URL", raising=False)
    return tmp_path


def test_the_command_sends_a_folder_and_exits_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server(202, [PUT]) as (url, got):
        assert main(["replay", str(folder), "--to", url, "--verbose"]) == 0
    ((path, headers, body),) = got
    assert (path, headers["x-functions-key"], json.loads(body)) == ("/api/replay", "the-key", [key_event()])
    shown = capsys.readouterr().out
    assert "put: key" in shown
    assert "the-key" not in shown


@pytest.mark.parametrize(
    ("status", "content", "says"),
    [
        (401, b"", "function key"),
        (503, {"detail": "the queue is down", "title": "x"}, "the queue is down"),
        (302, b"", "leads elsewhere"),
        (202, b"<html>", "none of the app's"),
        (202, [PUT, PUT], "none of the app's"),
        (202, [{"result": "put"}], "none of the app's"),
        (202, [7], "none of the app's"),
        (200, b"[" * 100_000, "none of the app's"),
    ],
)
def test_an_answer_that_is_no_success_is_told_of_and_exits_1(
    folder: Path, capsys: pytest.CaptureFixture[str], status: int, content: Any, says: str
) -> None:
    with server(status, content, Location="http://127.0.0.1:9/elsewhere") as (url, got):
        assert main(["replay", str(folder), "--to", url]) == 1
    assert len(got) == 1
    assert says in capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_sent(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {"a.json": b"{", "b.json": b"\xff", "c.json": b"[" * 100_000, "d.json": b"7", "e.json": b"[NaN]"}
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    with server(202, [PUT]) as (url, got):
        assert main(["replay", str(folder), str(folder / "absent.json"), "--to", url]) == 1
    shown = capsys.readouterr().out
    assert all(f"{name}:" in shown for name in [*broken, "absent.json"])
    assert len(got) == 1


def test_an_app_that_is_not_there_is_told_of_and_exits_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server(202, [PUT]) as (url, _):
        pass
    assert main(["replay", str(folder), "--to", url]) == 1
    assert "no answer" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--to", "http://my-app.azurewebsites.net"],
        ["--to", "ftp://127.0.0.1"],
        ["--to", "https://user@my-app.example"],
        ["--to", "https://my-app.example/?code=x"],
        ["--to", "http://[::1"],
        ["--to", "https://a", "--speed", "0"],
        ["--to", "https://a", "--speed", "nan"],
        ["--to", "https://a", "--speed", "fast"],
        ["--to", "https://a", "--duplicate", "-1"],
        ["--to", "https://a", "--duplicate", "100001"],
        ["--to", "https://a", "--duplicate", "many"],
        ["--to", "https://a", "--seed", "x"],
        ["--to", "https://a", "--dry"],
    ],
)
def test_a_wrong_command_line_sends_nothing_and_exits_2(
    folder: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    try:
        code: Any = main(["replay", str(folder), *wrong])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert capsys.readouterr().err


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["replay", "--help"])
    shown = capsys.readouterr().out
    assert all(f"--{flag}" in shown for flag in ("shuffle", "duplicate", "seed", "speed", "dry-run", "verbose", "to"))


def test_the_function_key_goes_over_plain_http_to_this_machine_only() -> None:
    for url in ("http://127.0.0.1:7071/", "http://localhost", "http://[::1]:80", "https://my-app.example"):
        assert checked_url(url) == url.rstrip("/")
    for url in ("http://10.0.0.1", "http://localhost.example", "", "//x", "https://", "https://a:b:c"):
        with pytest.raises(WrongUrl):
            checked_url(url)


def test_the_summary_counts_by_what_and_why() -> None:
    (one,) = recorded(key_event())
    results = [Result(one, "e", came, what) for came, what in [("put", "key"), ("put", "key"), ("ignored", "why")]]
    table = summary(results, [("bad.json", "not JSON")], dry_run=False)
    rows = list(zip(*(list(column.cells) for column in table.columns), strict=True))
    assert rows == [
        ("sent", "", "3"),
        ("put", "key", "2"),
        ("ignored", "why", "1"),
        ("failed", "", "0"),
        ("not read", "bad.json: not JSON", ""),
    ]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("2026-01-25T01:08:33.1036736Z", "2026-01-25T01:08:33.103673+00:00"),
        ("2026-01-25T03:08:33+02:00", "2026-01-25T01:08:33+00:00"),
        ("2026-01-25T01:08:33", "2026-01-25T01:08:33+00:00"),
        ("0001-01-01T00:00:00+23:00", None),
        ("soon", None),
        (7, None),
    ],
)
def test_times_of_either_schema_are_read(written: Any, found: str | None) -> None:
    wanted = datetime.fromisoformat(found) if found else None
    assert [moment_of({"eventTime": written}), moment_of({"time": written})] == [wanted, wanted]
