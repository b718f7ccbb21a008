"""What Resource Graph may answer: rows of others, twice, of what is gone, of no shape, very many, and without end."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.reasons import Reason
from shared.domain.report import Converged, Expanded
from shared.domain.work import Cause, CheckResource, Source, Sweep
from shared.usecases import expand
from tests.support.azure import MID, OLD, SUB, Azure, account, estate, on_azure

ONE = account("st1")
Row = dict[str, Any]
FOREIGN = SUB.replace("1", "9")


def rows(change: Callable[[list[Row]], list[Any]], **more: Any) -> Hooks:
    """Change the rows of the resources that may have keys."""

    def after(call: Call, answer: Answer) -> Answer:
        if "ResourceGraph" not in call.url or b"where type in~" not in call.body or answer.status != 200:
            return answer
        body = answer.json()
        return Answer.of({**body, "data": change(body["data"]), **more})

    return Hooks(after=after)


def beside(**other: Any) -> Callable[[list[Row]], list[Any]]:
    """Add a row like that of the account, with other values."""
    return lambda known: [*({**row, "id": f"{row['id']}x", **other} for row in known if "/st1" in row["id"]), *known]


EMPTY = dict.fromkeys(("properties", "name", "tags", "kind", "location", "identity", "managedBy"))
NONSENSE = {"properties": "x", "name": 7, "tags": [1], "kind": {}, "location": 3, "identity": "no", "managedBy": 9}
POINTER: Row = {"keyvaulturi": 7, "keyname": None, "keyversion": []}
SHAPES: list[tuple[str, Callable[[list[Row]], list[Any]]]] = [
    ("nothing in it", beside(**EMPTY)),
    ("nothing in it and no type", beside(**EMPTY, type=None)),
    ("other types in it", beside(**NONSENSE)),
    ("a list for an encryption", beside(properties={"encryption": [1]})),
    ("numbers for a key", beside(properties={"encryption": {"keySource": 5, "keyvaultproperties": POINTER}})),
    ("another type's name", beside(type="microsoft.compute/diskencryptionsets")),
    ("what is gone", beside()),
    ("null", lambda known: [None, *known]),
    ("a text", lambda known: ["x", *known]),
    ("an id that is null", lambda known: [{"id": None}, *known]),
    ("an id that is a number", lambda known: [{"id": 5}, *known]),
]


@pytest.mark.parametrize("change", [one for _, one in SHAPES], ids=[name for name, _ in SHAPES])
def test_a_row_that_makes_no_sense_takes_nobody_along_and_nothing_is_written_for_it(
    change: Callable[[list[Row]], list[Any]],
) -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = rows(change)
        await azure.check_key()
        await azure.put(Sweep(Cause("c", Source.TIMER), azure.time.now()))
        await azure.drain(until=timedelta(minutes=5))
        assert azure.in_use(ONE) == MID
        assert len(azure.calls("write")) == 1

    on_azure(estate(ONE), story)


def test_a_row_of_a_foreign_subscription_is_told_of_and_nothing_is_written_there() -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = rows(
            lambda known: [*known, *({**row, "id": row["id"].replace(SUB, FOREIGN), "tenantId": "x"} for row in known)]
        )
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=5))
        assert azure.in_use(ONE) == MID
        told = {report.reasons for report in azure.reports if report.address and FOREIGN in report.address.url}
        assert told == {(Reason.REFUSED,)}
        assert [call for call in azure.calls("write") if FOREIGN in call] == []

    on_azure(estate(ONE), story)


def test_a_resource_that_is_shown_three_times_is_looked_at_once() -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = rows(lambda known: [*known, *known, *({**row, "id": row["id"].upper()} for row in known)])
        await azure.check_key()
        assert azure.in_use(ONE) == MID
        assert [type(one.outcome) for one in azure.reports if isinstance(one.item, CheckResource)] == [Converged]

    on_azure(estate(ONE), story)


def test_a_list_of_ever_new_pages_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MOST_PAGES", 30)

    async def story(azure: Azure) -> None:
        asked: list[str] = []

        def before(call: Call) -> Answer | None:
            if "ResourceGraph" not in call.url or b"where type in~" not in call.body:
                return None
            asked.append(call.url)
            data = {"totalRecords": 1, "count": 0, "data": [], "$skipToken": str(len(asked)), "resultTruncated": "true"}
            return Answer.of(data)

        azure.world.hooks = Hooks(before=before)
        await azure.put(Sweep(Cause("c", Source.TIMER), azure.time.now()))
        await azure.drain(until=timedelta(hours=1))
        last = azure.reports[-1].outcome
        assert isinstance(last, Expanded)
        assert (len(asked), azure.waiting()) == (31, [])
        assert [(one.reason, one.detail) for one in last.blocked] == [
            (Reason.SERVICE_UNAVAILABLE, "the answer cannot be read: the index is a list without an end")
        ]

    on_azure(estate(ONE), story)


def test_who_names_an_older_version_is_looked_at_though_the_index_shows_the_newest_in_effect() -> None:
    one = account("st1", OLD)

    def shown(known: list[Row]) -> list[Any]:
        found = copy.deepcopy(known)
        for row in found:
            if "/st1" in row["id"]:
                key = row["properties"]["encryption"]["keyvaultproperties"]
                key["currentVersionedKeyIdentifier"] = f"https://kv-main.vault.azure.net/keys/cmk/{MID}"
        return found

    async def story(azure: Azure) -> None:
        azure.world.hooks = rows(shown)
        await azure.check_key()
        assert azure.in_use(one) == MID

    on_azure(estate(one), story)
