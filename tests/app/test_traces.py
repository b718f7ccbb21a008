"""What the app leaves behind: one correlation id all the way, and nothing that is nobody's business."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from tests.support.azure import MID, OLD, account, estate, scope
from tests.support.grid_events import WRITTEN, key_event, resource_event
from tests.support.whole_app import WholeApp, with_app

USERS = [account("st1"), account("st2"), scope("st1", "one"), account("stfollow", "")]
ID = re.compile(r"\[(?!-\])[A-Za-z0-9-]{1,64}\]")
SOAP, SCHEMAS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims", "http://schemas.microsoft.com/identity/claims"
PERSONAL = {
    "name": "Jane Q. Doe",
    "ipaddr": "198.51.100.77",
    f"{SOAP}/upn": "jane.doe@contoso.example",
    f"{SOAP}/givenname": "Janeth",
    f"{SOAP}/surname": "Doeington",
    f"{SCHEMAS}/objectidentifier": "12121212-3434-5656-7878-909090909090",
    "puid": "1003200012345678",
}
ADDRESS = "203.0.113.199"
DATA = {"claims": PERSONAL, "httpRequest": {"clientIpAddress": ADDRESS, "method": "PATCH"}}


def messages_of(app: WholeApp) -> list[str]:
    """Return every text that was ever put on a queue."""
    found = []
    for call in app.arrived:
        if call.method in {"POST", "PUT"} and ".queue." in call.host and call.body:
            text = re.search(rb"<MessageText>(.*?)</MessageText>", call.body, re.DOTALL)
            if text:
                found.append(base64.b64decode(html.unescape(text.group(1).decode())).decode())
    return found


def left_behind(app: WholeApp) -> Iterator[str]:
    """Yield every log line (of the SDKs too), queue message and outcome event."""
    yield from (line.text for line in app.lines)
    yield from messages_of(app)
    yield from (json.dumps(one) for one in app.outcomes())


def found_in(app: WholeApp, secrets: list[str]) -> list[str]:
    """Return the secrets that were left behind, with where."""
    return [f"{secret}: {text[:300]}" for text in left_behind(app) for secret in secrets if secret in text]


def test_one_id_runs_from_the_event_to_the_write_the_log_and_the_report() -> None:
    async def story(app: WholeApp) -> None:
        await app.deliver([key_event(id_="the-event-1")])
        await app.run_until_quiet()
        sent = {one.client_request_id for one in app.world.log if one.kind in {"write", "read", "childList", "vault"}}
        assert sent == {"the-event-1"}
        assert {one["data"]["item"]["cause"]["id"] for one in app.outcomes()} == {"the-event-1"}
        moved = [line for line in app.logged() if f"{OLD} -> {MID}" in line]
        assert len(moved) == 3
        work = [line for line in app.logged() if "our own write" not in line]  # those are events with ids of their own
        assert [line for line in work if not line.startswith("[the-event-1] ")] == []

    with_app(estate(*USERS), story)


def test_a_caller_s_own_id_runs_through_and_a_strange_one_does_not() -> None:
    async def story(app: WholeApp) -> None:
        body = {"resource": USERS[0]["id"]}
        reply = await app.post("converge", body, **{"x-ms-client-request-id": "my-own-id"})
        assert reply.body["correlationId"] == "my-own-id"
        await app.run_until_quiet()
        assert [one.client_request_id for one in app.world.log if one.kind == "write"] == ["my-own-id"]
        for strange in ("%s%n\r\nX-Evil: 1", "x" * 65, "ä", "a b"):
            reply = await app.post("converge", body, **{"x-ms-client-request-id": strange})
            assert re.fullmatch(r"[0-9a-f-]{36}", reply.body["correlationId"])
        await app.run_until_quiet()
        assert not [line for line in app.logged() if "Evil" in line]

    with_app(estate(*USERS), story)


def test_every_line_about_a_piece_of_work_carries_its_id() -> None:
    """Through success, throttling, an outage, a refusal, a poisoned message, a rotation and a sweep."""

    async def story(app: WholeApp) -> None:
        app.stage.faults.put(
            [
                {"match": {"kind": "read", "path": "/st1$"}, "times": 1, "do": {"status": 429, "retryAfter": 5}},
                {"match": {"kind": "write", "path": "/st2$"}, "times": 1, "do": {"reset": "after"}},
                {"match": {"kind": "topic"}, "times": 4, "do": {"status": 500}},
            ]
        )
        inner = app.world.hooks

        def before(call: Call) -> Answer | None:
            if call.method == "GET" and call.path.endswith("/stbroken"):
                raise RuntimeError("a bug somewhere")
            return inner.before(call)

        app.world.hooks = Hooks(before, inner.after)
        await app.post("rotate", {"key": "https://kv-main.vault.azure.net/keys/cmk"})
        await app.post("converge", {"all": True})
        await app.post("replay", [key_event(id_="r1"), resource_event("/subscriptions/x", id_="r2")])
        await app.run_until_quiet(timedelta(minutes=20))
        without = [line for line in app.logged() if not ID.search(line)]
        assert any("poisoned" in line for line in app.logged())
        assert without == []

    with_app(estate(*USERS, account("stbroken"), account("stdenied"), denied=("stdenied",)), story)


def test_the_sdks_add_no_lines_of_their_own_to_each_request() -> None:
    """Their lines carry another id than ours and cost money by the line; the host passes on what is INFO and above."""

    async def story(app: WholeApp) -> None:
        await app.post("converge", {"all": True})
        await app.run_until_quiet()
        about = ("vault.azure.net", "management.azure.com", "eventgrid.azure.net")
        sdk = [line for line in app.lines if line.logger.startswith(("azure.core", "azure.mgmt", "azure.keyvault"))]
        assert [line.text[:80] for line in sdk if any(host in line.text for host in about)][:3] == []

    with_app(estate(*USERS), story)


def test_claims_are_neither_logged_nor_queued_nor_reported() -> None:
    secrets = [*PERSONAL.values(), ADDRESS]
    bodies: list[Any] = [
        [resource_event(str(USERS[0]["id"]), data=DATA)],
        [resource_event(str(USERS[0]["id"]), data={**DATA, "claims": json.dumps(PERSONAL)})],
        [resource_event("/subscriptions/x", data=DATA)],
        [resource_event(f"{USERS[0]['id']}/providers/../..", data=DATA)],
        [{"id": "1", "data": DATA}],
        [{"eventType": WRITTEN, "data": json.dumps(DATA)[:-9]}],
        [{**key_event(), "claims": PERSONAL}],
        [resource_event(str(USERS[0]["id"]), data={**DATA, "number": float("nan")})],
    ]

    async def story(app: WholeApp) -> None:
        for body in bodies:
            for to in ("key_events", "resource_events"):
                assert await app.deliver(body, to=to) == 202
            await app.post("replay", body)
        await app.run_until_quiet()
        assert app.in_use(USERS[0]) == MID
        assert messages_of(app) != []
        assert found_in(app, secrets) == []

    with_app(estate(*USERS), story)


def test_the_answer_to_a_replay_does_not_repeat_the_body() -> None:
    async def story(app: WholeApp) -> None:
        bodies: list[Any] = [[{"id": "1", "data": DATA}], json.dumps([DATA]).encode()[:-5], PERSONAL]
        for body in bodies:
            reply = await app.post("replay", body)
            assert reply.status in {202, 400}
            assert not [one for one in (*PERSONAL.values(), ADDRESS) if one in json.dumps(reply.body)]

    with_app(estate(*USERS), story)


def test_no_token_no_signature_and_no_key_material_is_left_behind() -> None:
    async def story(app: WholeApp) -> None:
        app.stage.faults.put(
            [
                {"match": {"path": "/st1$"}, "times": 1, "do": {"status": 401, "message": "Bearer eyJabc.def.ghi"}},
                {"match": {"path": "/st2$"}, "times": 1, "do": {"status": 400, "message": "sig=abcdef&x eyJh.ey.zz"}},
            ]
        )
        inner, moduli = app.world.hooks, set[str]()

        def after(call: Call, answer: Answer) -> Answer:
            found = re.findall(rb'"n": *"([^"]+)"', answer.body) if ".vault." in call.host else []
            moduli.update(one.decode()[:40] for one in found)
            return inner.after(call, answer)

        app.world.hooks = Hooks(inner.before, after)
        await app.post("rotate", {"key": "https://kv-main.vault.azure.net/keys/cmk"})
        await app.run_until_quiet(timedelta(minutes=5))
        assert moduli
        assert found_in(app, [*moduli, "eyJ", "sig=abcdef", "Bearer e"]) == []

    with_app(estate(*USERS), story)


def test_what_is_blocked_is_logged_as_a_warning_with_what_to_do() -> None:
    async def story(app: WholeApp) -> None:
        await app.post("converge", {"key": "https://kv-main.vault.azure.net/keys/absent"})
        await app.post("converge", {"resource": account("stdrift", "d" * 32)["id"]})
        await app.run_until_quiet()
        warnings = [line.text for line in app.lines if line.logger == "cmk" and line.level == logging.WARNING]
        assert any("version_not_in_vault" in line and "Restore the key" in line for line in warnings)

    with_app(estate(account("stdrift", "d" * 32)), story)
