"""From a key event to every user of the key on its newest usable version."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shared.domain.report import Certainty, Converged, Expanded
from tests.support.azure import MID, NEW, OLD, Azure, account, estate, on_azure, scope, version


def test_every_pinned_user_goes_to_the_newest_version_and_is_verified() -> None:
    behind = [account(f"st{number}") for number in range(5)]
    there, other, own = account("stthere", MID), account("stother", key="other"), account("stmmk", key="")
    scopes = [scope("st0", "one"), scope("stmmk", "two"), scope("stmmk", "mmk", key="")]
    keys = {
        "kv-main": [
            {"name": "cmk", "versions": [version(OLD), version(MID, "2026-03-01T00:00:00Z")]},
            {"name": "other", "versions": [version(OLD), version(NEW, "2026-03-01T00:00:00Z")]},
        ]
    }

    async def story(azure: Azure) -> None:
        await azure.check_key()
        assert [azure.in_use(one) for one in [*behind, there, scopes[0], scopes[1]]] == [MID] * 8
        assert azure.in_use(other) == OLD
        verified = [
            report.address.arm.name
            for report in azure.reports
            if isinstance(report.outcome, Converged) and report.wrote and report.address
        ]
        assert sorted(verified) == ["st0", "st1", "st2", "st3", "st4"]
        assert all(
            report.outcome.certainty is Certainty.REPORTED
            for report in azure.reports
            if isinstance(report.outcome, Converged)
        )
        assert len(azure.calls("write")) == 7
        assert len(azure.calls("childList")) == 8
        told = {event["subject"].rsplit("/", 1)[1] for event in azure.outcomes()}
        assert told == {"st0", "st1", "st2", "st3", "st4", "one", "two"}

    on_azure(estate(*behind, there, other, own, *scopes, keys=keys), story)


def test_a_second_look_writes_nothing_and_reads_little() -> None:
    accounts = [account(f"st{number}") for number in range(4)]

    async def story(azure: Azure) -> None:
        await azure.check_key()
        before = len(azure.calls("write", "read", "childList"))
        await azure.check_key()
        assert len(azure.calls("write", "read", "childList")) == before

    on_azure(estate(*accounts, scope("st1", "one")), story)


def test_a_body_changes_in_nothing_but_the_key() -> None:
    one = account("st1", accessTier="Hot", networkAcls={"defaultAction": "Deny", "ipRules": []})

    async def story(azure: Azure) -> None:
        before: dict[str, Any] = {**azure.body(one)["properties"]}
        await azure.check_key()
        after: dict[str, Any] = {**azure.body(one)["properties"]}
        key = after.pop("encryption")["keyvaultproperties"]
        before.pop("encryption")
        assert before == after
        assert key["keyversion"] == MID
        assert azure.body(one)["identity"] == one["identity"]
        assert azure.body(one)["tags"] == one["tags"]

    on_azure(estate(one), story)


def test_a_large_estate_is_expanded_page_by_page() -> None:
    accounts = [account(f"st{number:04}", MID if number % 7 else OLD) for number in range(450)]

    async def story(azure: Azure) -> None:
        await azure.check_key()
        pages = [report.outcome for report in azure.reports if type(report.item).__name__ == "CheckKey"]
        assert [page.more for page in pages if isinstance(page, Expanded)] == [True, True, False]
        assert {azure.in_use(one) for one in accounts} == {MID}

    on_azure(estate(*accounts, throttling="off"), story)


def test_each_of_many_children_of_one_list_moves_be_it_in_this_handling_or_later() -> None:
    many = [scope("st1", f"deep{number}") for number in range(12)]

    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=5))
        assert {azure.in_use(one) for one in many} == {MID}

    on_azure(estate(account("st1", MID), *many), story)
