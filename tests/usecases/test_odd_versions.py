"""What a vault may answer about a key's versions: nothing but the key's own newest usable version is ever taken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Stopped, Waiting
from tests.support.azure import MID, OLD, Azure, account, estate, on_azure
from tests.support.keyed import later

OUTDATED, CURRENT = account("st1"), account("st2", MID)
VAULT = "kv-main.vault.azure.net"
LISTED = "/keys/cmk/versions"
Versions = list[dict[str, Any]]


def listing(change: Callable[[Versions], Versions], **more: Any) -> Hooks:
    """Change what the vault lists."""

    def after(call: Call, answer: Answer) -> Answer:
        if call.host != VAULT or not call.path.endswith(LISTED) or answer.status != 200:
            return answer
        body = answer.json()
        return Answer.of({**body, "value": change(body["value"]), **more})

    return Hooks(after=after)


def each(**attributes: Any) -> Callable[[Versions], Versions]:
    return lambda known: [{**one, "attributes": {**one["attributes"], **attributes}} for one in known]


def without(name: str) -> Callable[[Versions], Versions]:
    return lambda known: [
        {**one, "attributes": {key: value for key, value in one["attributes"].items() if key != name}} for one in known
    ]


def renamed(old: str, new: str) -> Callable[[Versions], Versions]:
    return lambda known: [{**one, "kid": one["kid"].replace(old, new)} for one in known]


def contradicted(known: Versions) -> Versions:
    again = copy.deepcopy(known)
    return [*known, *({**one, "attributes": {**one["attributes"], "enabled": False}} for one in again)]


def foretold(known: Versions) -> Versions:
    kid = f"https://{VAULT}/keys/cmk/{'d4' * 16}"
    return [*known, {"kid": kid, "attributes": {"enabled": True, "created": 1893456000}}]


GOOD: dict[str, Callable[[Versions], Versions]] = {
    "oldest first": lambda known: known[::-1],
    "each three times": lambda known: known * 3,
    "no time of creation": without("created"),
    "no time of a change": without("updated"),
    "made in the same second": each(created=1767225600),
    "made before all time": each(created=-5),
}
BAD: dict[str, Callable[[Versions], Versions]] = {
    "no attributes": lambda known: [{"kid": one["kid"]} for one in known],
    "empty attributes": lambda known: [{**one, "attributes": {}} for one in known],
    "nothing said of enabled": without("enabled"),
    "all disabled": each(enabled=False),
    "enabled is null": each(enabled=None),
    "another vault's": renamed("kv-main", "kv-evil"),
    "another key's": renamed("/cmk/", "/other/"),
    "none at all": lambda _: [],
    "not an object": lambda known: [*known, None],  # type: ignore[list-item]
    "one that cannot be read": foretold,
}
LINKS = [
    "https://evil.example/keys/cmk/versions",
    "https://kv-other.vault.azure.net/keys/cmk/versions?api-version=7.5&$skiptoken=a",
    f"http://{VAULT}/keys/cmk/versions?api-version=7.5&$skiptoken=a",
    f"https://{VAULT}:8443/keys/cmk/versions",
    f"https://{VAULT}@evil.example/keys/cmk/versions",
    f"https://{VAULT}.evil.example/keys/cmk/versions",
    f"https://{VAULT}/keys/cmk/versions?api-version=7.5",
    f"https://{VAULT}/keys/other/versions?api-version=7.5",
]


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_versions_told_in_an_odd_way_lead_to_what_the_vault_calls_latest(
    change: Callable[[Versions], Versions],
) -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = listing(change)
        reports = [*await azure.check(OUTDATED), *await azure.check(CURRENT)]
        assert all(isinstance(report.outcome, Converged) for report in reports)
        assert (azure.in_use(OUTDATED), azure.in_use(CURRENT)) == (MID, MID)
        assert len(azure.calls("write")) == 1

    on_azure(estate(OUTDATED, CURRENT), story)


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_versions_of_which_none_can_be_trusted_move_nobody_and_what_passes_is_waited_out(
    change: Callable[[Versions], Versions],
) -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = listing(change)
        (report,) = await azure.check(OUTDATED)
        assert isinstance(report.outcome, Stopped | Waiting)
        assert report.reasons[0] in {Reason.SERVICE_UNAVAILABLE, Reason.NO_USABLE_VERSION}
        assert (azure.in_use(OUTDATED), azure.calls("write")) == (OLD, [])
        azure.world.hooks = Hooks()
        if isinstance(report.outcome, Waiting):
            await azure.drain(until=timedelta(minutes=5))
        else:
            await later(azure, seconds=6)  # what is known of a key is good for five
            await azure.check(OUTDATED)
        assert azure.in_use(OUTDATED) == MID

    on_azure(estate(OUTDATED), story)


def test_a_version_told_twice_enabled_and_disabled_moves_nobody_backwards() -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = listing(contradicted)
        await azure.check(CURRENT)
        await azure.drain(until=timedelta(minutes=5))
        assert (azure.in_use(CURRENT), azure.calls("write")) == (MID, [])

    on_azure(estate(CURRENT), story)


@pytest.mark.parametrize("link", LINKS)
def test_a_next_page_elsewhere_is_not_asked_for_and_moves_nobody(link: str) -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = listing(lambda known: known, nextLink=link)
        await azure.check(OUTDATED)
        assert (azure.in_use(OUTDATED), azure.calls("write")) == (OLD, [])
        urls = [one.url for one in azure.world.log]
        assert not [url for url in urls if "evil" in url or "kv-other" in url or "8443" in url]
        assert not [url for url in urls if url.startswith("http://") and VAULT in url]

    on_azure(estate(OUTDATED), story)
