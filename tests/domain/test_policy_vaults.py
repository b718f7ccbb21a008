"""What a policy says of vaults: every field is read, and each mistake is told with its line and field."""

from __future__ import annotations

import pytest

from shared.adapters.yaml_lines import parse_policy
from shared.domain.policy import Site, VaultRule, Where, decide
from shared.domain.policy_text import BadPolicy
from shared.domain.vault_rules import KeysExpected, VaultExpected

ONE = "  - name: one\n    expect: "
HEAD = "version: 1\nrules: [{name: all}]\nvaults:\n"
WHOLE = """
  - name: production
    where: {names: [kv-*], tags: {env: prod}, locations: [westeurope], managementGroups: [zones]}
    unless: [{resourceGroups: [rg-test]}]
    expect:
      purgeProtection: true
      rbac: true
      auditEvents: true
      publicNetwork: trustedServices
      keys: {size: 3072, types: [RSA, RSA-HSM], rotationPolicy: true, expiry: true}
  - name: the rest
    expect: {publicNetwork: false}
"""
MISTAKES = {
    "no list": ("  a: 1\n", "line 3: vaults: must be a list of rules"),
    "no expectation": ("  - name: one\n", "line 4: vaults[0].expect: is missing"),
    "nothing is asked for": ("  - name: one\n    expect: {}\n", "line 5: vaults[0].expect: asks for nothing"),
    "only what is not asked for": ("  - name: one\n    expect: {rbac: false}\n", "vaults[0].expect: asks for nothing"),
    "an unknown field": (
        "  - name: one\n    expect: {purge: true}\n",
        "line 5: vaults[0].expect: Object contains",
    ),
    "a size that is none": ("  - name: one\n    expect: {keys: {size: 3000}}\n", "line 5: vaults[0].expect.keys.size"),
    "a type that is none": (
        "  - name: one\n    expect: {keys: {types: [oct]}}\n",
        "line 5: vaults[0].expect.keys.types[0]",
    ),
    "another word": ("  - name: one\n    expect: {publicNetwork: some}\n", "line 5: vaults[0].expect.publicNetwork"),
    "a type of resource": (
        "  - name: one\n    expect: {rbac: true}\n    where: {types: [Microsoft.KeyVault/*]}\n",
        "line 6: vaults[0].where.types: says nothing of vaults",
    ),
    "a name twice": (
        "  - {name: one, expect: {rbac: true}, where: {names: [a]}}\n  - {name: one, expect: {rbac: true}}\n",
        "line 5: vaults[1].name: 'one' is the name of rule 1 already",
    ),
    "a rule that is never asked": (
        "  - {name: one, expect: {rbac: true}}\n  - {name: two, expect: {rbac: true}}\n",
        "line 4: vaults[0]: takes everything, so no rule after it is ever asked",
    ),
}


def test_every_field_is_read() -> None:
    first, rest = parse_policy(HEAD + WHOLE).vaults
    keys = KeysExpected(3072, ("RSA", "RSA-HSM"), rotation_policy=True, expiry=True)
    wanted = VaultExpected(
        purge_protection=True, rbac=True, audit_events=True, public_network="trustedServices", keys=keys
    )
    assert first.expect == wanted
    assert first.where.tags == {"env": "prod"}
    assert first.unless == (Where(resource_groups=("rg-test",)),)
    assert rest == VaultRule("the rest", VaultExpected(public_network=False))


def test_the_first_rule_that_is_meant_decides_and_groups_are_asked_for() -> None:
    policy = parse_policy(HEAD + WHOLE)
    vault = Site("Microsoft.KeyVault/vaults", "kv-1", "s", "rg", "", "West Europe", {"env": "prod"}, ("zones",))
    found = decide(policy.vaults, vault)
    assert found is not None
    assert found.name == "production"
    assert policy.asks_for_groups
    assert not parse_policy("version: 1\nrules: [{name: all}]\n").vaults


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_is_told_with_its_line_and_field(case: str) -> None:
    written, told = MISTAKES[case]
    with pytest.raises(BadPolicy) as caught:
        parse_policy(HEAD + written)
    assert told in str(caught.value)
