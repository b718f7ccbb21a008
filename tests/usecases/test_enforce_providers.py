"""Resource providers that a first key takes: registered only where the rule says so, waited for, and never twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.evidence import line_of
from shared.domain.plan import SetKeys
from shared.domain.preparation import CreateVault
from shared.domain.providers import RegisterProvider
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Waiting
from shared.domain.work import encode
from shared.usecases.handle import handle
from shared.usecases.preview import preview
from tests.support.azure import SUB, Azure, group, on_azure, vault
from tests.support.enforced import KEYS, changes, enforced, item, key_of, refusal
from tests.support.enforcing import CREATE, nothing_yet, plain, policy

MAY = "may: [create-vault, create-key, grant, register-provider]"
MAKING = (MAY, "createVault: {resourceGroup: rg-data, sku: premium}", CREATE)
NEW = "'https://kv-{location}.vault.azure.net/keys/cmk'"
VAULTS, EVENTS = "Microsoft.KeyVault", "Microsoft.EventGrid"


def missing(*providers: str, **more: Any) -> dict[str, Any]:
    described = nothing_yet(plain(), vault(), **more)
    described["subscriptions"][0]["unregistered"] = list(providers)
    return described


def asked(azure: Azure) -> list[str]:
    return [line.rpartition("/providers/")[2] for line in changes(azure) if line.endswith("/register")]


def test_what_is_missing_is_registered_waited_for_and_the_vault_made_then(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        steps = await preview(azure.app.context, item(azure, plain()))
        assert steps is not None
        assert changes(azure) == []
        report = await enforced(azure, plain())
        assert isinstance(report.outcome, Waiting)
        assert report.outcome.wait.reason is Reason.PROVIDER_REGISTERING
        assert VAULTS in report.outcome.wait.detail
        did = [one["step"] for one in _told(report)]
        assert did == ["RegisterProvider", "RegisterProvider"]
        assert asked(azure) == [f"{VAULTS}/register", f"{EVENTS}/register"]
        reports = [report, *await azure.drain(until=timedelta(minutes=10))]
        assert isinstance(reports[-1].outcome, Converged)
        assert key_of(azure, plain())["keyname"] == "cmk"
        assert len(asked(azure)) == 2
        taken = [done.step for one in reports for done in one.did] + [SetKeys(one.planned) for one in reports[-1:]]
        assert [type(step) for step in steps] == [type(step) for step in taken]
        assert steps[0] == RegisterProvider(SUB, VAULTS)
        assert isinstance(steps[2], CreateVault)

    on_azure(missing(VAULTS, EVENTS), story, environ=policy(tmp_path, *MAKING, key=NEW))


def _told(report: Any) -> list[dict[str, Any]]:
    return [{"step": one.step, "place": one.place} for one in line_of(report, "x").did]


def test_of_event_grid_alone_nothing_is_waited_for(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        report = await enforced(azure, plain())
        assert isinstance(report.outcome, Converged)
        assert _told(report)[0] == {"step": "RegisterProvider", "place": f"/subscriptions/{SUB}/providers/{EVENTS}"}
        assert report.to_do == ""

    lines = ("may: [grant, register-provider]",)
    on_azure(missing(EVENTS, keys=KEYS), story, environ=policy(tmp_path, *lines))


@pytest.mark.parametrize("provider", [VAULTS, "Microsoft.Storage"])
def test_without_the_word_in_the_rule_nothing_is_registered_and_the_word_is_named(
    tmp_path: Path, provider: str
) -> None:
    async def story(azure: Azure) -> None:
        report = await enforced(azure, plain())
        assert refusal(report) is Reason.PROVIDER_NOT_REGISTERED
        assert "may: [register-provider]" in report.outcome.blocked[0].detail  # type: ignore[union-attr]
        assert changes(azure) == []

    on_azure(missing(provider, keys=KEYS), story, environ=policy(tmp_path, "may: [grant]"))


def test_what_cannot_be_done_to_its_end_registers_nothing(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        assert refusal(await enforced(azure, plain())) is Reason.NOT_ALLOWED_BY_RULE
        assert changes(azure) == []

    on_azure(missing("Microsoft.Storage", keys=KEYS), story, environ=policy(tmp_path, "may: [register-provider]"))


class DiedError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("after", [True, False], ids=["after the effect", "before the effect"])
def test_killed_at_the_registration_and_replayed_it_is_finished_and_registered_once(
    tmp_path: Path, *, after: bool
) -> None:
    killed: list[str] = []

    def dies(call: Call) -> None:
        if call.path.endswith("/register") and not killed:
            killed.append(call.path)
            raise DiedError

    def before(call: Call) -> Answer | None:
        if not after:
            dies(call)
        return None

    def afterwards(call: Call, answer: Answer) -> Answer:
        if after:
            dies(call)
        return answer

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before, afterwards)
        with pytest.raises(DiedError):
            await handle(azure.app.context, encode(item(azure, plain())))
        azure.app = azure.instance()
        await azure.check(plain())
        await azure.drain(until=timedelta(minutes=10))
        assert key_of(azure, plain())["keyname"] == "cmk"
        assert len(asked(azure)) == (1 if after else 2)  # the one that died before its effect is in the log, too

    on_azure(missing(VAULTS), story, environ=policy(tmp_path, *MAKING, key=NEW))


def test_the_right_that_the_app_lacks_is_named(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        refused = Answer.of({"error": {"code": "AuthorizationFailed", "message": "no"}}, 403)
        azure.world.hooks = Hooks(before=lambda call: refused if call.path.endswith("/register") else None)
        report = await enforced(azure, plain())
        assert refusal(report) is Reason.NO_RIGHTS
        detail = report.outcome.blocked[0].detail  # type: ignore[union-attr]
        assert detail.startswith(f"{VAULTS}/register/action on /subscriptions/{SUB}/providers/{VAULTS}")

    on_azure(missing(VAULTS), story, environ=policy(tmp_path, *MAKING, key=NEW))


def test_another_instance_does_not_register_what_is_registered_meanwhile(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        other, mine = azure.instance(), azure.app
        assert await preview(other.context, item(azure, plain()))  # it has seen that one is missing
        await enforced(azure, plain())
        await azure.drain(until=timedelta(minutes=10))
        azure.app = other
        await azure.check(plain())
        azure.app = mine
        assert len(asked(azure)) == 1

    on_azure(missing(VAULTS), story, environ=policy(tmp_path, *MAKING, key=NEW))


def test_only_the_subscriptions_that_the_first_key_takes_are_touched(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await enforced(azure, plain())
        await azure.drain(until=timedelta(minutes=10))
        assert {line.partition("/providers/")[0] for line in changes(azure) if "/register" in line} == {
            f"POST https://management.azure.com{group().rpartition('/resourceGroups')[0]}"
        }

    described = missing(VAULTS)
    described["subscriptions"].append({"subscriptionId": "3" * 8 + "-0000-4000-8000-000000000003"})
    described["subscriptions"][1]["unregistered"] = [VAULTS, EVENTS]
    on_azure(described, story, environ=policy(tmp_path, *MAKING, key=NEW))
