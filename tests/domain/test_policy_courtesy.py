"""What a rule may say of waves, windows, freezes, change references and marks of code, and what is refused."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from shared.adapters.yaml_lines import parse_policy
from shared.domain.code_marks import DEFAULT_MARKS
from shared.domain.courtesy import Owned, Reference
from shared.domain.plan import Facts, SetKeys, plan
from shared.domain.policy import Rule
from shared.domain.policy_text import BadPolicy
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.waves import Rollout, Wave
from shared.domain.windows import Day, Freeze, Window
from tests.domain.test_plan import FIX, OLD, facts, pinned

ALL = """
    waves: [{share: 5}, {share: 50, after: 4h}, {share: 100, after: 1d}]
    stopAt: 20
    windows:
      - {days: [sat, sun], from: "22:00", to: "04:00", timezone: Europe/Berlin}
      - {from: "01:00", to: "03:00"}
    freeze: [{from: 2026-12-20, to: 2027-01-06}]
    change: required
    ownedByCode: fix
    codeTags: {stack: ["*"], managed-by: [terraform]}
    rewritesADay: 5
"""


def rule(lines: str) -> Rule:
    (found,) = parse_policy(f"version: 1\nrules:\n  - name: all\n    rotation: fix\n    {lines.strip()}\n").rules
    return found


def test_all_of_it_is_read_as_it_is_written() -> None:
    found = rule(ALL)
    assert found.waves == (Wave(5, "0h"), Wave(50, "4h"), Wave(100, "1d"))
    assert found.windows == (
        Window("22:00", "04:00", (Day.SAT, Day.SUN), "Europe/Berlin"),
        Window("01:00", "03:00"),
    )
    assert found.freeze == (Freeze(date(2026, 12, 20), date(2027, 1, 6)),)
    assert (found.stop_at, found.change, found.owned_by_code) == (20, Reference.REQUIRED, Owned.FIX)
    assert (dict(found.code_tags), found.rewrites_a_day) == ({"stack": ("*",), "managed-by": ("terraform",)}, 5)


def test_a_rule_that_says_nothing_holds_nothing_but_what_code_owns() -> None:
    plain = rule("version: keep")
    assert (plain.waves, plain.windows, plain.freeze, plain.change) == ((), (), (), Reference.NONE)
    assert (plain.stop_at, plain.owned_by_code, plain.rewrites_a_day) == (10, Owned.REPORT, 3)
    assert plain.code_tags == DEFAULT_MARKS


BAD = {
    "waves: [{share: 5}, {share: 5, after: 1d}]": "waves: share must rise",
    "waves: [{share: 5}]": "waves: the last share must be 100",
    "waves: [{share: 0}, {share: 100}]": "waves[0].share: Expected `int` >= 1",
    "waves: [{share: 5, after: 4 hours}, {share: 100}]": "waves: after: '4 hours' is no duration; write 30m, 4h or 2d",
    "waves: [{share: 5, afer: 4h}, {share: 100}]": "waves[0]: Object contains unknown field `afer`",
    "stopAt: 100": "stopAt: Expected `int` <= 99",
    "windows: [{from: 22:00, to: 23:00}]": "windows[0].from: Expected `str`, got `int`",
    'windows: [{from: "22:00", to: "22:00"}]': "windows: from and to are both 22:00",
    'windows: [{days: [], from: "22:00", to: "04:00"}]': "windows: days: an empty list never opens",
    'windows: [{days: [saturday], from: "22:00", to: "04:00"}]': "windows[0].days[0]: Invalid enum value 'saturday'",
    'windows: [{from: "22:00", to: "04:00", timezone: CEST/Berlin}]': "windows: timezone: this machine knows no",
    "freeze: [{from: 2026-12-20, to: 2026-01-06}]": "freeze: to 2026-01-06 is before from 2026-12-20",
    "freeze: [{from: christmas, to: 2026-01-06}]": "freeze[0].from: Invalid RFC3339",
    "change: yes": "change: Expected `str`, got `bool`",
    "change: always": "change: Invalid enum value 'always'; say none, required",
    "ownedByCode: ignore": "ownedByCode: Invalid enum value 'ignore'; say report, fix",
    "codeTags: {stack: []}": "codeTags: each tag needs a name and at least one pattern",
    "rewritesADay: 0": "rewritesADay: Expected `int` >= 1",
}


@pytest.mark.parametrize(("line", "problem"), BAD.items(), ids=list(BAD))
def test_a_mistake_is_told_with_its_line_and_field(line: str, problem: str) -> None:
    with pytest.raises(BadPolicy) as refused:
        rule(line)
    assert str(refused.value).startswith(f"line 5: rules[0].{problem}")


def due(rollout: Rollout | None = None, **said: object) -> Facts:
    found = rule("waves: [{share: 1}, {share: 100}]")
    return replace(facts(pinned(OLD)), rule=replace(FIX, waves=found.waves, **said), rollout=rollout)


def test_a_held_wave_waits_and_names_who_is_behind() -> None:
    (step,) = plan(due(Rollout(10, ("a", "b", "c", "d"))))
    assert isinstance(step, Wait)
    assert step.reason is Reason.WAVE_HELD
    assert step.detail.startswith("4 of 10 in the waves before are behind: a, b, c; ")
    assert isinstance(plan(due(Rollout(10, ("a",))))[0], SetKeys)


def test_what_no_waiting_helps_is_told_before_what_is_waited_for() -> None:
    (step,) = plan(due(Rollout(1, ("a",)), change=Reference.REQUIRED))
    assert isinstance(step, Blocked)
    assert step.reason is Reason.CHANGE_REFERENCE_MISSING
