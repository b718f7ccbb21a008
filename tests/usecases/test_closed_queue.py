"""A queue that takes no work: what should have been put is not lost, and nobody is told that it was."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.keys import KeyId
from shared.domain.work import (
    AuditVault,
    Cause,
    CheckChildren,
    CheckKey,
    CheckResource,
    EndingKey,
    RotateKey,
    Source,
    Sweep,
    WorkItem,
    encode,
)
from shared.errors import NotTaken
from shared.usecases.handle import handle
from tests.support.azure import (
    MID,
    OLD,
    Azure,
    account,
    estate,
    on_azure,
    scope,
    vault,
    version,
    with_two_versions,
)
from tests.support.policies import ALL, PolicyFile

USERS = [account("st1"), account("st2")]
SCOPES = [scope("st3", f"scope{number}") for number in range(12)]
PARENT = account("st3", key="")
KEY = KeyId("kv-main.vault.azure.net", "cmk")
REFUSALS = pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "QueueNotFound"),
        (409, "QueueBeingDeleted"),
        (403, "AuthorizationPermissionMismatch"),
        (400, "OutOfRangeInput"),
        (507, "InsufficientStorage"),
        (302, "Found"),
    ],
)


def closed(status: int, code: str) -> Hooks:
    """Let the queue take nothing and be made by nobody."""

    def before(call: Call) -> Answer | None:
        puts = call.host.endswith(".queue.core.windows.net") and call.method in {"POST", "PUT"}
        return Answer(status, {"x-ms-error-code": code, "Location": "https://evil.example/"}) if puts else None

    return Hooks(before=before)


def items(azure: Azure) -> list[WorkItem]:
    cause, now = Cause("cause-1", Source.HTTP), azure.time.now()
    return [
        CheckKey(KEY, cause, now),
        Sweep(cause, now),
        CheckChildren(azure.address(PARENT), SCOPES[0]["type"], cause, now, now),
        RotateKey(KEY, cause, now),
    ]


@REFUSALS
@pytest.mark.parametrize("which", range(4), ids=["key", "sweep", "children", "rotation"])
def test_an_item_whose_work_the_queue_does_not_take_goes_back_to_the_host_and_is_done_later(
    which: int, status: int, code: str
) -> None:
    async def story(azure: Azure) -> None:
        await azure.put(items(azure)[which])
        (text,) = azure.waiting()
        azure.world.hooks = closed(status, code)
        with pytest.raises(NotTaken):
            await handle(azure.app.context, base64.b64decode(text).decode())
        assert [one.url for one in azure.world.log if "evil" in one.url] == []
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(minutes=20))
        assert _moved(azure, which)
        made = [one for one in azure.outcomes() if one["type"].endswith(".Rotated")]
        assert len(made) == (1 if which == 3 else 0)

    on_azure(estate(*USERS, PARENT, *SCOPES), story)


@REFUSALS
def test_an_audit_or_a_count_of_users_whose_next_page_the_queue_does_not_take_goes_back_to_the_host(
    status: int, code: str, tmp_path: Path
) -> None:
    rule = "vaults:\n  - name: every vault\n    expect: {keys: {expiry: true}}\n"
    policy = PolicyFile(tmp_path, ALL, more=rule)
    many = [account(f"st{number:03}") for number in range(250)]
    ends = [version(OLD), version(MID, "2026-03-01T00:00:00Z", expires="2026-05-10T00:00:00Z")]
    named = [{"name": "cmk", "versions": ends}, *(with_two_versions(f"k{number}") for number in range(120))]

    async def story(azure: Azure) -> None:
        cause, now = Cause("cause-1", Source.HTTP), azure.time.now()
        azure.world.hooks = closed(status, code)
        for item in (EndingKey(KEY, cause, now), AuditVault(cause, now, vault_id=str(vault()["id"]))):
            with pytest.raises(NotTaken):
                await handle(azure.app.context, encode(item))

    on_azure(estate(*many, keys={"kv-main": named}), story, environ=policy.environ)


def test_a_write_is_told_of_also_where_the_queue_does_not_take_what_comes_after_it() -> None:
    def after(call: Call, answer: Answer) -> Answer:
        return Answer(503, {}) if call.method == "PATCH" else answer

    async def story(azure: Azure) -> None:
        shut = closed(507, "InsufficientStorage")
        await azure.put(
            CheckResource(azure.address(USERS[0]), Cause("c", Source.HTTP), azure.time.now(), azure.time.now())
        )
        (text,) = azure.waiting()
        azure.world.hooks = Hooks(before=shut.before, after=after)
        with pytest.raises(NotTaken):
            await handle(azure.app.context, base64.b64decode(text).decode())
        (told,) = [one["data"] for one in azure.outcomes()]
        assert [(one["after"]["version"], one["accepted"]) for one in told["wrote"]] == [(MID, False)]

    on_azure(estate(*USERS), story)


def _moved(azure: Azure, which: int) -> bool:
    children_only = which == 2
    meant: list[dict[str, Any]] = SCOPES if children_only else [*USERS, *SCOPES]
    (in_use,) = {azure.in_use(one) for one in meant}
    return in_use != OLD
