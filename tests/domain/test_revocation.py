"""What is taken away so that an identity cannot use its keys: only what is its own, and only at the vault or below."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.domain.reasons import Blocked, Reason
from shared.domain.revocation import Hold, TakePermissions, TakeRole, keys_lost, takings, told_besides
from shared.domain.revocation_record import taken_untold
from shared.domain.vault import WRAPPING, Grant, Policy, Vault, lacks

GROUP = "/subscriptions/s/resourceGroups/rg"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv"
ME, GROUP_OF_MINE, OTHER = "me", "my-group", "other"
KEYS = "microsoft.keyvault/vaults/keys/"
ENCRYPTS = (f"{KEYS}read", f"{KEYS}wrap/action", f"{KEYS}unwrap/action")
HERE = Vault(
    VAULT,
    "kv.vault.azure.net",
    "westeurope",
    "t",
    rbac=True,
    recoverable=True,
    protected=True,
    closed=False,
    premium=True,
)
ROLES = {
    "encrypts": ENCRYPTS,
    "reads": (f"{KEYS}read",),
    "all": ("microsoft.keyvault/vaults/*",),
    "officer": (f"{KEYS}*",),
}
SCOPES = [
    "",
    "/subscriptions/s",
    GROUP,
    VAULT,
    VAULT.upper(),
    f"{VAULT}/keys/cmk",
    f"{VAULT}/keys/other",
    f"{VAULT}/secrets/cmk",
]


def grant(scope: str, role: str, principal: str = ME, number: int = 0) -> Grant:
    return Grant(scope, ROLES[role], id=f"{scope}/assignments/{number}", role=f"roles/{role}", principal=principal)


def hold(*grants: Grant, vault: Vault = HERE) -> Hold:
    return Hold(vault, frozenset({"cmk"}), "", ME, grants)


grants = st.lists(
    st.builds(
        grant,
        st.sampled_from(SCOPES),
        st.sampled_from(sorted(ROLES)),
        st.sampled_from([ME, GROUP_OF_MINE]),
        st.integers(),
    ),
    max_size=6,
    unique_by=lambda one: one.id,
).map(tuple)


@given(grants)
def test_when_all_was_taken_the_key_cannot_be_used_unless_it_says_so(
    found: tuple[Grant, ...],
) -> None:
    planned = takings(hold(*found))
    taken = {one.assignment for one in planned if isinstance(one, TakeRole)}
    left = tuple(one for one in found if one.id not in taken)
    unable = set(lacks(HERE, "cmk", ME, left, WRAPPING)) >= {"wrapKey", "unwrapKey"}
    assert unable is not any(isinstance(one, Blocked) for one in planned)


@given(grants)
def test_only_one_s_own_assignments_at_the_vault_or_the_key_are_taken(found: tuple[Grant, ...]) -> None:
    known = {one.id: one for one in found}
    for step in takings(hold(*found)):
        if isinstance(step, Blocked):
            assert step.reason is Reason.GRANTED_ELSEWHERE
            continue
        assert isinstance(step, TakeRole)
        assert known[step.assignment].principal == ME
        assert step.scope.lower() in {VAULT.lower(), f"{VAULT}/keys/cmk".lower()}
        assert known[step.assignment].actions != ROLES["reads"]


def test_an_assignment_with_a_condition_is_taken_like_any_other() -> None:
    (step,) = takings(hold(replace(grant(VAULT, "encrypts"), conditional=True)))
    assert isinstance(step, TakeRole)


def test_of_a_group_s_grant_it_is_said_where_it_ends() -> None:
    (told,) = takings(hold(grant(VAULT, "encrypts", GROUP_OF_MINE)))
    assert isinstance(told, Blocked)
    assert "group my-group" in told.detail


def test_where_access_policies_decide_roles_are_left_and_permissions_go_as_they_are_written() -> None:
    entries = (
        Policy(ME, frozenset({"get", "wrapkey"}), "", ("Get", "wrapKey")),
        Policy(ME, frozenset({"get"}), "app", ("get",)),
        Policy(OTHER, frozenset({"get"}), "", ("get",)),
    )
    vault = replace(HERE, rbac=False, policies=entries)
    held = hold(grant(VAULT, "encrypts"), vault=vault)
    assert takings(held) == (TakePermissions(VAULT, ME, "t", ("Get", "wrapKey")),)
    assert keys_lost(held) is None
    assert takings(hold(vault=replace(vault, policies=entries[1:]))) == ()


def test_a_key_s_own_grant_costs_that_key_and_the_vault_s_costs_all() -> None:
    assert keys_lost(hold(grant(f"{VAULT}/keys/cmk", "encrypts"))) == frozenset({"cmk"})
    assert keys_lost(hold(grant(f"{VAULT}/keys/cmk", "encrypts"), grant(VAULT, "all", number=1))) is None
    assert keys_lost(hold()) == frozenset()


def test_what_a_role_allows_besides_keys_is_told_before_it_goes() -> None:
    assert told_besides(hold(grant(VAULT, "officer"), grant(VAULT, "encrypts"))) == ()
    (told,) = told_besides(hold(grant(VAULT, "all"), grant(GROUP, "all")))
    assert told == f"{VAULT}/assignments/0 also allows microsoft.keyvault/vaults/*"


def test_each_step_says_how_it_is_undone() -> None:
    role = TakeRole("id", VAULT, ME, "/x/roleDefinitions/r1")
    assert role.undo == f"assign role r1 at {VAULT} to principal {ME}"
    policy = TakePermissions(VAULT, ME, "t", ("get", "wrapKey"))
    assert policy.undo == f"add key permissions get, wrapKey for principal {ME} on {VAULT}"


def test_what_another_wish_announced_is_not_told_of_as_taken_by_this_one() -> None:
    step = {"step": "TakeRole", "said": {"assignment": "a", "scope": VAULT, "principal": ME, "role": "r"}}
    line = {"resource": "/r", "correlationId": "one", "at": "2026-05-01T08:00:00+00:00", "takes": [step]}
    assert [done.place for done in taken_untold([line], "/r", "one")] == ["a"]
    assert taken_untold([line], "/r", "two") == ()
    assert taken_untold([line], "/other", "one") == ()
