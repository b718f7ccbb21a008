"""Which rule decides: order, exceptions, case, children, management groups, tags; and what a bad policy is told."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.adapters.yaml_lines import parse_policy
from shared.domain.policy import Mode, Policy, Rule, Site, Version, Where, decide, matches, shadowed, why_not
from shared.domain.policy_text import BadPolicy
from shared.domain.service import May

ACCOUNT = Site(
    type="Microsoft.Storage/storageAccounts",
    name="stLedger",
    subscription="AAAAAAAA-1111-1111-1111-111111111111",
    resource_group="RG-Data",
    kind="StorageV2",
    location="westeurope",
    tags={"Owner": "Ledger", "tier": "gold"},
    management_groups=("ledger", "landing-zones", "root"),
)
FIELDS: dict[str, tuple[str, str]] = {
    "types": ("microsoft.storage/*", "Microsoft.Sql/*"),
    "kinds": ("storagev2", "BlobStorage"),
    "names": ("stl*", "st?"),
    "subscriptions": ("aaaaaaaa-*", "bbbb*"),
    "management_groups": ("LANDING-*", "sandboxes"),
    "resource_groups": ("rg-[d-f]ata", "rg-dat"),
    "locations": ("WestEurope", "west"),
}


def rule(name: str, where: Where | None = None, *unless: Where, **more: Any) -> Rule:
    return Rule(name, where or Where(), unless, **more)


def names(rules: list[Rule], site: Site = ACCOUNT) -> str | None:
    found = decide(rules, site)
    return found.name if found else None


def test_the_first_rule_that_fits_decides_whatever_comes_later() -> None:
    rules = [rule("sql", Where(types=("Microsoft.Sql/*",))), rule("gold", Where(tags={"tier": "gold"})), rule("all")]
    assert names(rules) == "gold"
    assert names(rules[::-1]) == "all"
    assert names(rules[:1]) is None


@pytest.mark.parametrize(("field", "fits", "fails"), [(name, *both) for name, both in FIELDS.items()])
def test_each_field_compares_whole_words_without_case(field: str, fits: str, fails: str) -> None:
    for patterns, expected in (((fits,), True), ((fails, fits), True), ((fails,), False)):
        fields: dict[str, Any] = {field: patterns}
        assert matches(rule("r", Where(**fields)), ACCOUNT) is expected


def test_all_fields_must_fit() -> None:
    both = Where(types=("microsoft.storage/*",), locations=("northeurope",))
    assert not matches(rule("r", both), ACCOUNT)


def test_a_tag_is_found_whatever_its_case_and_must_be_there() -> None:
    assert matches(rule("r", Where(tags={"OWNER": "ledger", "tier": "g*"})), ACCOUNT)
    assert not matches(rule("r", Where(tags={"owner": "payroll"})), ACCOUNT)
    assert not matches(rule("r", Where(tags={"absent": "*"})), ACCOUNT)


def test_a_location_may_be_written_as_the_portal_shows_it() -> None:
    assert matches(rule("r", Where(locations=("westeurope",))), replace(ACCOUNT, location="West Europe"))


def test_one_exception_that_fits_is_enough_to_pass_a_rule_over() -> None:
    gold, sql = Where(tags={"tier": "gold"}), Where(types=("Microsoft.Sql/*",))
    assert names([rule("first", None, sql, gold), rule("next")]) == "next"
    assert names([rule("first", None, sql), rule("next")]) == "first"


def test_a_child_is_meant_by_its_own_type_and_not_by_its_parents() -> None:
    child = replace(ACCOUNT, type="Microsoft.Storage/storageAccounts/encryptionScopes", name="one")
    parents = rule("accounts", Where(types=("Microsoft.Storage/storageAccounts",)))
    assert names([parents, rule("all", Where(types=("Microsoft.Storage/*",)))], child) == "all"


def test_a_policy_asks_for_groups_and_parents_only_where_a_rule_hangs_on_them() -> None:
    scope = "Microsoft.Storage/storageAccounts/encryptionScopes"
    quiet = Policy((rule("r", Where(types=("*",), subscriptions=("a",))),))
    assert (quiet.asks_for_groups, quiet.asks_about_parent(scope)) == (False, False)
    assert Policy((rule("r", None, Where(management_groups=("x",))),)).asks_for_groups
    for where in (Where(tags={"a": "b"}), Where(kinds=("k",)), Where(locations=("l",))):
        assert Policy((rule("r", where),)).asks_about_parent(scope)
        assert Policy((rule("r", None, where),)).asks_about_parent(scope)
        assert not Policy((rule("r", replace(where, types=("Microsoft.Sql/*",))),)).asks_about_parent(scope)


def test_why_a_rule_is_passed_over_is_told_with_the_field_and_what_is_there() -> None:
    assert why_not(rule("r", Where(locations=("northeurope",))), ACCOUNT) == "where.locations does not take westeurope"
    assert why_not(rule("r", Where(tags={"x": "y"})), ACCOUNT) == "where.tags.x does not take its absence"
    assert (
        why_not(rule("r", None, Where(names=("other",)), Where(names=("st*",))), ACCOUNT) == "unless[1] is meant for it"
    )
    assert why_not(rule("r"), ACCOUNT) is None


WORDS = st.sampled_from(["a", "b", "ab", "*", "a*", "?", "[ab]"])
PLAIN = st.sampled_from(["a", "b", "ab", "ba", ""])
WHERES = st.builds(
    Where,
    types=st.lists(WORDS, max_size=2).map(tuple),
    names=st.lists(WORDS, max_size=2).map(tuple),
    management_groups=st.lists(WORDS, max_size=1).map(tuple),
    tags=st.dictionaries(st.sampled_from(["t", "T", "u"]), WORDS, max_size=2),
)
RULES = st.lists(st.builds(Rule, name=PLAIN, where=WHERES, unless=st.lists(WHERES, max_size=1).map(tuple)), max_size=4)
SITES = st.builds(
    Site,
    type=PLAIN,
    name=PLAIN,
    subscription=PLAIN,
    resource_group=PLAIN,
    tags=st.dictionaries(st.sampled_from(["t", "U"]), PLAIN),
    management_groups=st.lists(PLAIN, max_size=2).map(tuple),
)


@given(RULES, SITES)
def test_whoever_decides_fits_and_nobody_before_does(rules: list[Rule], site: Site) -> None:
    found = decide(rules, site)
    at = len(rules) if found is None else next(at for at, one in enumerate(rules) if one is found)
    assert not any(matches(one, site) for one in rules[:at])
    assert found is None or matches(found, site)


@given(RULES, SITES)
def test_case_never_changes_who_decides(rules: list[Rule], site: Site) -> None:
    loud = replace(
        site,
        type=site.type.upper(),
        name=site.name.upper(),
        tags={name.upper(): value.upper() for name, value in site.tags.items()},
        management_groups=tuple(one.upper() for one in site.management_groups),
    )
    assert decide(rules, loud) == decide(rules, site)


@given(RULES, SITES)
def test_a_rule_that_is_said_to_be_never_asked_never_decides(rules: list[Rule], site: Site) -> None:
    unasked = shadowed(rules)
    assert not any(decide(rules, site) is rules[at] for at in unasked)


def test_a_narrower_rule_behind_a_wider_one_is_found_to_be_never_asked() -> None:
    wide, narrow = Where(types=("Microsoft.Storage/*",)), Where(types=("microsoft.storage/storageAccounts",))
    tagged = Where(types=("Microsoft.Storage/*",), tags={"tier": "gold"})
    assert shadowed([rule("wide", wide), rule("narrow", narrow), rule("tagged", tagged)]) == {1: 0, 2: 0}
    assert shadowed([rule("narrow", narrow), rule("wide", wide)]) == {}
    assert shadowed([rule("wide", wide, tagged), rule("narrow", narrow)]) == {}
    assert shadowed([rule("tagged", tagged), rule("narrow", narrow)]) == {}


def test_every_field_of_a_policy_is_read() -> None:
    text = """
version: 1
writes: off
expect: {subscriptions: [s1], managementGroups: [g1]}
rules:
  - name: one
    where: {types: [a], kinds: [b], names: [c], subscriptions: [d], managementGroups: [e],
            resourceGroups: [f], locations: [g], tags: {h: i}}
    unless: [{names: [j]}]
    rotation: fix
    encryption: ignore
    version: pin
    may: [put, unproven]
"""
    policy = parse_policy(text)
    where = Where(("a",), ("b",), ("c",), ("d",), ("e",), ("f",), ("g",), {"h": "i"})
    expected = Rule(
        "one", where, (Where(names=("j",)),), Mode.FIX, Mode.IGNORE, Version.PIN, frozenset({May.PUT, May.UNPROVEN})
    )
    assert policy.rules == (expected,)
    assert (policy.writes, policy.expect.subscriptions, policy.expect.management_groups) == (False, ("s1",), ("g1",))


def test_what_a_rule_does_not_say_is_only_reported() -> None:
    (found,) = parse_policy("version: 1\nrules: [{name: quiet}]").rules
    assert (found.rotation, found.encryption, found.version, found.may) == (
        Mode.REPORT,
        Mode.REPORT,
        Version.KEEP,
        frozenset(),
    )


HEAD = "version: 1\nrules:\n  - name: one\n"
PROBLEMS = {
    "no mapping": ("- 1", "line 1: policy: a policy is a mapping with version and rules"),
    "another version": ("version: 2\nrules: [{name: a}]", "line 1: version: must be 1"),
    "no rules": ("version: 1\nrules: []", "line 2: rules: must be a list of at least one rule"),
    "an unknown part": ("version: 1\nrulez: 1\nrules: [{name: a}]", "line 2: rulez: unknown; there is version, writes"),
    "writes": ("version: 1\nwrites: maybe\nrules: [{name: a}]", "line 2: writes: must be on or off"),
    "writes as a list": ("version: 1\nwrites: [on]\nrules: [{name: a}]", "line 2: writes: must be on or off"),
    "a word": (
        f"{HEAD}    rotation: fixx",
        "line 4: rules[0].rotation: Invalid enum value 'fixx'; say fix, report, ignore",
    ),
    "a word that YAML makes a boolean": (
        f"{HEAD}    rotation: off",
        "line 4: rules[0].rotation: Expected `str`, got `bool`; say",
    ),
    "a version": (
        f"{HEAD}    version: latest",
        "line 4: rules[0].version: Invalid enum value 'latest'; say keep, follow, pin",
    ),
    "a permission": (
        f"{HEAD}    may:\n      - put\n      - all",
        "line 6: rules[0].may[1]: Invalid enum value 'all'; say unproven, put",
    ),
    "an unknown field": (f"{HEAD}    rotate: fix", "line 4: rules[0].rotate: unknown; there is name, where"),
    "an unknown filter": (f"{HEAD}    where:\n      type: [a]", "line 5: rules[0].where.type: unknown; there is types"),
    "a filter that is no list": (
        f"{HEAD}    where: {{types: a}}",
        "line 4: rules[0].where.types: Expected `array`, got `str`",
    ),
    "an empty list": (f"{HEAD}    where: {{types: []}}", "line 4: rules[0].where.types: an empty list fits nothing"),
    "an empty pattern": (
        f"{HEAD}    where: {{types: ['']}}",
        "line 4: rules[0].where.types: an empty pattern fits nothing",
    ),
    "an exception for all": (f"{HEAD}    unless:\n      - {{}}", "line 5: rules[0].unless[0]: takes everything"),
    "a tag that is no text": (
        f"{HEAD}    where: {{tags: {{a: 1}}}}",
        "line 4: rules[0].where.tags: Expected `str`, got `int`; put it in quotes",
    ),
    "a time that YAML makes a number": (
        f"{HEAD}    windows: [{{from: 22:00, to: 04:00}}]",
        "line 4: rules[0].windows[0].from: Expected `str`, got `int`; put it in quotes",
    ),
    "a date that is none": (
        f"{HEAD}    freeze:\n      - {{from: 2026-13-20, to: 2027-01-06}}",
        "line 5: policy: '2026-13-20': month must be in 1..12",
    ),
    "no name": ("version: 1\nrules:\n  - rotation: fix", "line 3: rules[0].name: is missing"),
    "an empty name": ("version: 1\nrules:\n  - name: ' '", "line 3: rules[0].name: must not be empty"),
    "a name twice": (
        f"{HEAD}    where: {{names: [a]}}\n  - name: one",
        "line 5: rules[1].name: 'one' is the name of rule 1",
    ),
    "a rule that is text": ("version: 1\nrules:\n  - all", "line 3: rules[0]: must be a mapping with name"),
    "a rule behind one for everything": (
        f"{HEAD}  - name: two",
        "line 3: rules[0]: takes everything, so no rule after",
    ),
    "no key to begin with": (f"{HEAD}    encryption: fix", "line 4: rules[0].encryption: fix needs key"),
    "what is expected": (
        "version: 1\nexpect: {subscription: [a]}\nrules: [{name: a}]",
        "line 2: expect.subscription: unknown",
    ),
    "a key twice": (f"{HEAD}    rotation: fix\n    rotation: report", "line 5: policy: 'rotation' is there twice"),
    "no YAML": ("version: [1", "line 1: policy: expected"),
    "a tag of Python": ("version: !!python/object:os.system 1", "line 1: policy: could not determine a constructor"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_mistake_is_told_with_its_line_and_field(name: str) -> None:
    text, told = PROBLEMS[name]
    with pytest.raises(BadPolicy) as refused:
        parse_policy(text)
    assert any(str(one).startswith(told) for one in refused.value.problems), refused.value.problems


def test_one_mistake_does_not_hide_the_others() -> None:
    text = f"{HEAD}    rotation: fixx\n    may: [all]\n    where: {{type: [a]}}\n  - nam: two\nwrites: x\n"
    with pytest.raises(BadPolicy) as refused:
        parse_policy(text)
    assert [one.line for one in refused.value.problems] == [4, 5, 6, 7, 7, 8]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 1\nrules:\n  - name: a\n#" + "x" * 300_000, "longer than 256 KiB"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{chr(98 + at)}: &{chr(98 + at)} [{','.join(['*' + chr(97 + at)] * 10)}]\n" for at in range(8)),
            "too many parts",
        ),
        ("a: &a {b: *a}", ""),
        ("[" * 5_000, ""),
    ],
    ids=["size", "a bomb of aliases", "an alias of itself", "depth"],
)
def test_a_text_that_is_made_to_hurt_is_refused_in_no_time(text: str, told: str) -> None:
    with pytest.raises(BadPolicy) as refused:
        parse_policy(text)
    assert told in str(refused.value)


def test_an_alias_is_followed() -> None:
    policy = parse_policy("version: 1\nrules:\n- {name: a, where: &w {names: [x]}}\n- {name: b, unless: [*w]}\n")
    assert policy.rules[1].unless == (Where(names=("x",)),)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda deep: (
            st.lists(deep)
            | st.dictionaries(
                st.sampled_from(["version", "rules", "name", "where", "types", "unless", "may", "writes", "expect"]),
                deep,
            )
        ),
    )
)
def test_whatever_is_written_is_a_policy_or_a_list_of_problems(document: Any) -> None:
    try:
        found: tuple[object, ...] = parse_policy(yaml.safe_dump(document)).rules
    except BadPolicy as error:
        found = error.problems
    assert found
