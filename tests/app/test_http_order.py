"""What every wish may say besides: urgent, and a change reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.azure import MID, OLD, account, estate
from tests.support.policies import PolicyFile
from tests.support.waves import KEY, rule
from tests.support.whole_app import WholeApp, with_app

ONE = account("st1")
REQUIRED = rule("change: required", 'windows: [{days: [sun], from: "01:00", to: "02:00"}]')


def test_an_urgent_wish_with_its_change_goes_through_the_whole_app_into_the_evidence(tmp_path: Path) -> None:
    async def story(app: WholeApp) -> None:
        await app.post("converge", {"key": KEY})
        await app.run_until_quiet()
        assert app.in_use(ONE) == OLD
        answer = await app.post("converge", {"key": KEY, "change": "CHG0012345", "urgent": True})
        assert answer.status == 202
        assert answer.body["item"]["cause"]["order"] == {"urgent": True, "change": "CHG0012345", "byName": False}
        await app.run_until_quiet()
        assert app.in_use(ONE) == MID
        lines = (await app.get("evidence")).body["lines"]
        assert [(one.get("change"), one.get("urgent")) for one in lines] == [(None, None), ("CHG0012345", True)]
        assert lines[0]["refused"][0]["reason"] == "change_reference_missing"

    with_app(estate(ONE), story, environ=PolicyFile(tmp_path, REQUIRED).environ)


@pytest.mark.parametrize(
    "wish",
    [
        {"key": KEY, "change": "a\nb"},
        {"key": KEY, "change": 7},
        {"key": KEY, "urgent": "yes"},
        {"all": True, "urgent": True},
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(wish: dict[str, Any]) -> None:
    async def story(app: WholeApp) -> None:
        assert (await app.post("converge", wish)).is_problem(400, "bad_request")

    with_app(estate(ONE), story)
