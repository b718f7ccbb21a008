"""Who may come into a vault from where, compared with what is expected of it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.reasons import Reason
from shared.domain.vault_audit import vault_findings
from shared.domain.vault_rules import VaultExpected

OPEN: dict[str, Any] = {}
DENY = {"networkAcls": {"defaultAction": "Deny"}}
SHUT = {"networkAcls": {"defaultAction": "Deny", "bypass": "None"}}
OFF = {"publicNetworkAccess": "Disabled"}
CLOSED = {**OFF, "networkAcls": {"bypass": "None"}}
AROUND = {"publicNetworkAccess": "SecuredByPerimeter", "networkAcls": {"bypass": "None"}}


@pytest.mark.parametrize(
    ("properties", "expected", "found"),
    [
        (OPEN, "trustedServices", Reason.VAULT_OPEN),
        (DENY, "trustedServices", None),
        (OFF, "trustedServices", None),
        (SHUT, "trustedServices", Reason.VAULT_CLOSED),
        (CLOSED, "trustedServices", Reason.VAULT_CLOSED),
        (AROUND, "trustedServices", None),
        (DENY, False, Reason.VAULT_OPEN),
        (OFF, False, None),
        (OPEN, True, None),
    ],
)
def test_a_vault_is_open_or_closed_as_its_settings_say(
    properties: dict[str, Any], expected: Any, found: Reason | None
) -> None:
    expect = VaultExpected(public_network=expected)
    assert [one.reason for one in vault_findings({"properties": properties}, expect)] == ([found] if found else [])


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"enablePurgeProtection": True}, ""),
        ({}, "purge protection is off"),
        ({"enableSoftDelete": False, "enablePurgeProtection": True}, "soft delete is off"),
    ],
)
def test_a_vault_is_protected_only_with_soft_delete_and_purge_protection(properties: dict[str, Any], told: str) -> None:
    found = vault_findings({"properties": properties}, VaultExpected(purge_protection=True))
    assert [one.detail for one in found] == ([told] if told else [])


def test_a_vault_in_which_policies_decide_is_not_one_in_which_roles_do() -> None:
    policies = {"enableRbacAuthorization": False, "accessPolicies": [{"objectId": "a"}]}
    (found,) = vault_findings({"properties": policies}, VaultExpected(rbac=True))
    assert found.reason is Reason.VAULT_NOT_RBAC
    assert vault_findings({"properties": {"enableRbacAuthorization": True}}, VaultExpected(rbac=True)) == ()
