"""A tug of war: the app sets, somebody sets back, and after a few rounds a day the app says so instead."""

from __future__ import annotations

import asyncio
import copy
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared.domain.reasons import Reason
from shared.domain.report import Report
from shared.domain.tug import grants_in, wins_in
from shared.domain.work import Cause, CheckResource, Source, Sweep
from shared.usecases.forms import ConvergeWish
from shared.usecases.wishes import converge_item
from tests.support.azure import MID, OLD, START, Azure, account, estate, on_azure
from tests.support.policies import PolicyFile
from tests.support.waves import KEY, rule

ONE = account("st1", MID)
WRITTEN = "Microsoft.Resources.ResourceWriteSuccess"
RESOURCE = str(ONE["id"]).lower()


def policy(folder: Path, *lines: str, evidence: bool = True) -> dict[str, str]:
    kept = {"CMK_EVIDENCE": str(folder / "evidence")} if evidence else {}
    return PolicyFile(folder, rule(*lines)).environ | kept


def set_back(azure: Azure) -> None:
    body = copy.deepcopy(azure.body(ONE))
    pointer = body["properties"]["encryption"]["keyvaultproperties"]
    pointer["keyversion"] = OLD
    pointer["currentVersionedKeyIdentifier"] = f"{KEY}/{OLD}"
    azure.world.resources.put(body)


async def written_by_another(azure: Azure) -> Report:
    """Somebody sets it back, and the event of that write arrives."""
    set_back(azure)
    await asyncio.sleep(60)
    now = azure.time.now()
    await azure.put(CheckResource(azure.address(ONE), Cause("c", Source.EVENT, "e", WRITTEN), now, now))
    return (await azure.drain())[-1]


def test_the_fourth_time_a_day_it_is_told_and_not_written(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        for _ in range(3):
            await written_by_another(azure)
            assert azure.in_use(ONE) == MID
        report = await written_by_another(azure)
        assert report.reasons == (Reason.TUG_OF_WAR,)
        assert "set 3 times since 2026-05-01T08:01:0" in str(report.outcome)
        assert f"now to {KEY}/{OLD}" in str(report.outcome)
        assert azure.in_use(ONE) == OLD
        assert len(azure.calls("write")) == 3

    on_azure(estate(ONE), story, environ=policy(tmp_path))


def test_other_instances_see_it_in_the_evidence(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        for _ in range(3):
            await written_by_another(azure)
            azure.app = azure.instance()
        assert (await written_by_another(azure)).reasons == (Reason.TUG_OF_WAR,)

    on_azure(estate(ONE), story, environ=policy(tmp_path))


def test_without_evidence_an_instance_still_remembers_its_own_rounds(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        for _ in range(3):
            await written_by_another(azure)
        assert (await written_by_another(azure)).reasons == (Reason.TUG_OF_WAR,)

    on_azure(estate(ONE), story, environ=policy(tmp_path, evidence=False))


def test_sweeps_are_held_back_too(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        for _ in range(5):
            set_back(azure)
            await asyncio.sleep(3600)
            await azure.put(Sweep(Cause("c", Source.TIMER), azure.time.now()))
            await azure.drain()
        assert len(azure.calls("write")) == 2

    on_azure(estate(ONE), story, environ=policy(tmp_path, "rewritesADay: 2"))


def test_a_day_later_it_is_tried_again(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        for _ in range(4):
            await written_by_another(azure)
        await asyncio.sleep(timedelta(hours=24).total_seconds())
        await written_by_another(azure)
        assert azure.in_use(ONE) == MID

    on_azure(estate(ONE), story, environ=policy(tmp_path))


def test_a_caller_who_names_it_sets_it_once_more(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        for _ in range(4):
            await written_by_another(azure)
        wish = ConvergeWish(resource=str(ONE["id"]))
        await azure.put(converge_item(wish, Cause("h", Source.HTTP), azure.time.now()))
        await azure.drain()
        assert azure.in_use(ONE) == MID

    on_azure(estate(ONE), story, environ=policy(tmp_path))


def test_a_move_that_nothing_hints_at_does_not_read_the_evidence(tmp_path: Path) -> None:
    environ = policy(tmp_path) | {"CMK_EVIDENCE": "https://evidence.blob.core.windows.net/lines"}
    users = [account(f"st{number}") for number in range(4)]

    async def story(azure: Azure) -> None:
        await azure.check_key()
        assert [azure.in_use(one) for one in users] == [MID] * 4
        assert not [one for one in azure.world.log if "comp=list" in one.url]

    on_azure(estate(*users), story, environ=environ)


def line(outcome: str, *wrote: str, accepted: bool = True, resource: str = RESOURCE) -> dict[str, Any]:
    changes = [{"slot": "encryption", "toKey": key, "accepted": accepted} for key in wrote]
    return {"at": START.isoformat(), "resource": resource, "outcome": outcome, "wrote": changes}


def test_only_what_was_set_and_then_found_there_counts() -> None:
    new, old = f"{KEY}/{MID}", f"{KEY}/{OLD}"
    lines = [
        line("converged", new),
        line("waiting", new),  # a long operation
        line("converged"),
        line("converged"),  # looked at again
        line("stopped", new),  # it failed
        line("converged", old),
        line("waiting", new, accepted=False),
        line("converged", new, resource=f"{RESOURCE}/encryptionScopes/one"),
    ]
    assert len(wins_in(lines, RESOURCE, "encryption", new)) == 2


def test_only_this_resource_s_own_grants_that_azure_took_count() -> None:
    vault, other = "/vaults/kv-main", "/vaults/kv-other"

    def did(step: str = "GrantAccess", place: str = vault, who: str = "p", **more: Any) -> dict[str, Any]:
        return {
            "at": START.isoformat(),
            "step": step,
            "place": place,
            "said": {"principal": who},
            "accepted": True,
            **more,
        }

    ones = [
        did(),
        did(place=vault.upper()),
        did(place=other),
        did(who="q"),
        did(said=None),
        did("HardenVault"),
        did(accepted=False),
    ]
    lines = [{"resource": RESOURCE.upper(), "did": ones}, {"resource": f"{RESOURCE}x", "did": [did()]}]
    assert len(grants_in(lines, RESOURCE, vault, "p")) == 2
