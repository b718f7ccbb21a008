"""Vaults and keys compared with what the policy expects: by sweep, by event, page by page; nothing is written."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.faults import Faults
from sandbox.wire import Call
from shared.domain.reasons import Reason
from shared.domain.report import Answered, Gone, Report, Stopped, Waiting
from shared.domain.vault_audit import Audited
from shared.domain.work import AuditVault, Cause, CheckVault, Source, Sweep
from shared.usecases import audit_vault
from shared.usecases.sweeping import slice_of
from tests.support.azure import NEW, OLD, Azure, account, audit_events, estate, on_azure, vault, version
from tests.support.enforced import changes
from tests.support.enforcing import bare_vault
from tests.support.policies import ALL, PolicyFile

CAUSE = Cause("cause-1", Source.EVENT)
VAULT = str(vault()["id"])
ROTATES = {"lifetimeActions": [{"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "rotate"}}]}
NOTIFIES = {"lifetimeActions": [{"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "notify"}}]}


def expecting(folder: Path, *lines: str, name: str = "every vault", before: str = "") -> dict[str, str]:
    """Write a policy that expects this of vaults and return the setting that names it."""
    rule = f"vaults:\n{before}  - name: {name}\n" + "".join(f"    {line}\n" for line in lines)
    return PolicyFile(folder, ALL, more=rule).environ


def keys(*named: dict[str, Any]) -> dict[str, Any]:
    return {"kv-main": list(named)}


def key(name: str = "cmk", *, enabled: bool = True, expires: str | None = None, **more: Any) -> dict[str, Any]:
    ends = {"expires": expires} if expires else {}
    return {"name": name, "versions": [version(OLD, enabled=enabled, **ends)], **more}


async def looked_at(azure: Azure, **more: Any) -> list[Report]:
    await azure.put(AuditVault(CAUSE, azure.time.now(), **({"vault_id": VAULT} | more)))
    return await azure.drain()


def findings(reports: list[Report]) -> dict[Reason, str]:
    """Return what the audits found, with the detail of the last of each kind."""
    audits = [one.outcome for one in reports if isinstance(one.outcome, Audited)]
    assert audits
    return {one.reason: one.detail for each in audits for one in each.findings}


NETWORK: dict[str, Any] = {"networkAcls": {"defaultAction": "Deny", "bypass": "AzureServices"}}
SHUT: dict[str, Any] = {"networkAcls": {"defaultAction": "Deny", "bypass": "None"}}
POLICIES: dict[str, Any] = {"enableRbacAuthorization": False}
OFF: dict[str, Any] = {"publicNetworkAccess": "Disabled"}
PERIMETER: dict[str, Any] = {"publicNetworkAccess": "SecuredByPerimeter", **SHUT}
VAULTS: dict[str, tuple[str, dict[str, Any], set[Reason]]] = {
    "purge protection is on": ("purgeProtection: true", vault(), set()),
    "purge protection is off": ("purgeProtection: true", bare_vault(), {Reason.VAULT_NOT_PROTECTED}),
    "soft delete is off": ("purgeProtection: true", vault(enableSoftDelete=False), {Reason.VAULT_NOT_PROTECTED}),
    "roles decide": ("rbac: true", vault(), set()),
    "access policies decide": ("rbac: true", vault(**POLICIES), {Reason.VAULT_NOT_RBAC}),
    "nothing is asked of that": ("purgeProtection: true", vault(**POLICIES), set()),
    "it is open": ("publicNetwork: trustedServices", vault(), {Reason.VAULT_OPEN}),
    "trusted services only": ("publicNetwork: trustedServices", vault(**NETWORK), set()),
    "shut to those as well": ("publicNetwork: trustedServices", vault(**SHUT), {Reason.VAULT_CLOSED}),
    "a firewall is not enough": ("publicNetwork: false", vault(**NETWORK), {Reason.VAULT_OPEN}),
    "no public network": ("publicNetwork: false", vault(**OFF), set()),
    "a perimeter decides": ("publicNetwork: trustedServices", vault(**PERIMETER), set()),
    "a perimeter is not none": ("publicNetwork: false", vault(**PERIMETER), {Reason.VAULT_OPEN}),
    "any network will do": ("publicNetwork: true, rbac: true", vault(), set()),
}


@pytest.mark.parametrize("case", VAULTS)
def test_a_vault_is_compared_with_what_is_expected(tmp_path: Path, case: str) -> None:
    expect, body, found = VAULTS[case]

    async def story(azure: Azure) -> None:
        assert set(findings(await looked_at(azure))) == found
        assert changes(azure) == []

    on_azure(estate(body), story, environ=expecting(tmp_path, f"expect: {{{expect}}}"))


SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "its category": ({"category": "AuditEvent", "enabled": True},),
    "the group audit": ({"categoryGroup": "audit", "enabled": True},),
    "all logs": (
        {"category": "AzurePolicyEvaluationDetails", "enabled": True},
        {"categoryGroup": "allLogs", "enabled": True},
    ),
    "it is turned off": ({"category": "AuditEvent", "enabled": False},),
    "another category": ({"category": "AzurePolicyEvaluationDetails", "enabled": True},),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_uses_of_keys_are_kept_when_a_diagnostic_setting_says_so(tmp_path: Path, case: str) -> None:
    kept = case in {"its category", "the group audit", "all logs"}

    async def story(azure: Azure) -> None:
        found = findings(await looked_at(azure))
        assert (Reason.VAULT_NOT_AUDITED not in found) is kept

    environ = expecting(tmp_path, "expect: {auditEvents: true}")
    on_azure(estate(vault(), audit_events("kv-main", *SETTINGS[case])), story, environ=environ)


KEYS: dict[str, tuple[str, dict[str, Any], set[Reason]]] = {
    "large enough": ("size: 3072", key(size=3072), set()),
    "too small": ("size: 3072", key(size=2048), {Reason.KEY_TOO_SMALL}),
    "a curve has another size": ("size: 3072", key(kty="EC", size=256), set()),
    "of an expected type": ("types: [RSA-HSM]", key(kty="RSA-HSM"), set()),
    "of another type": ("types: [RSA-HSM, EC-HSM]", key(kty="RSA"), {Reason.KEY_TYPE_UNEXPECTED}),
    "it rotates": ("rotationPolicy: true", key(rotationPolicy=ROTATES), set()),
    "it only notifies": ("rotationPolicy: true", key(rotationPolicy=NOTIFIES), {Reason.KEY_NOT_ROTATED}),
    "it has no rotation policy": ("rotationPolicy: true", key(), {Reason.KEY_NOT_ROTATED}),
    "it expires": ("expiry: true", key(expires="2027-01-01T00:00:00Z"), set()),
    "it never expires": ("expiry: true", key(), {Reason.KEY_NEVER_EXPIRES}),
    "a disabled one is passed over": ("expiry: true, size: 4096", key(enabled=False), set()),
}


@pytest.mark.parametrize("case", KEYS)
def test_a_key_is_compared_with_what_is_expected(tmp_path: Path, case: str) -> None:
    expect, described, found = KEYS[case]

    async def story(azure: Azure) -> None:
        told = findings(await looked_at(azure))
        assert set(told) == found
        assert all("key cmk" in detail for detail in told.values())
        assert not any(".vault.azure.net" in one.url for one in azure.world.log)  # nothing inside it is asked

    environ = expecting(tmp_path, f"expect: {{keys: {{{expect}}}}}")
    on_azure(estate(vault(), keys=keys(described)), story, environ=environ)


def test_without_any_setting_no_use_is_kept(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        assert findings(await looked_at(azure)) == {Reason.VAULT_NOT_AUDITED: "no diagnostic setting"}

    on_azure(estate(vault()), story, environ=expecting(tmp_path, "expect: {auditEvents: true}"))


def test_many_keys_are_looked_at_page_by_page_and_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_vault, "MOST_KEYS", 4)
    named = [key(f"key-{at:02}") for at in range(10)]

    async def story(azure: Azure) -> None:
        inner = azure.world.hooks.before

        def small_pages(call: Call) -> Any:
            if call.path.endswith("/keys") and "maxpagesize" not in call.url:
                object.__setattr__(call, "url", f"{call.url}&$maxpagesize=6")
            return inner(call)

        azure.world.hooks = type(azure.world.hooks)(small_pages, azure.world.hooks.after)
        reports = await looked_at(azure)
        audits = [one.outcome for one in reports if isinstance(one.outcome, Audited)]
        assert [(one.keys, one.more) for one in audits] == [(4, True), (2, True), (4, False)]
        told = [each.detail for one in audits for each in one.findings]
        assert sorted(told) == [f"key key-{at:02}" for at in range(10)]

    environ = expecting(tmp_path, "expect: {keys: {expiry: true}}")
    on_azure(estate(vault(), keys=keys(*named)), story, environ=environ)


def test_the_first_rule_that_is_meant_for_a_vault_decides_and_without_one_nothing_is_asked(tmp_path: Path) -> None:
    others = [{**vault(name), "tags": {"env": "test"}} for name in ("kv-test", "kv-none")]
    rules = (
        "  - name: main\n    where: {names: [kv-main]}\n    expect: {rbac: true}\n"
        "  - name: none\n    where: {tags: {env: prod}}\n    expect: {auditEvents: true}\n"
    )

    async def story(azure: Azure) -> None:
        reports = [(await looked_at(azure, vault_id=one["id"]))[-1] for one in (vault(), *others)]
        assert [one.outcome.rule for one in reports if isinstance(one.outcome, Audited)] == ["main", "tests", ""]
        assert azure.outcomes()[-1]["subject"] == others[0]["id"].lower()

    where = "where: {tags: {env: test}, locations: [westeurope]}"
    environ = expecting(
        tmp_path, where, "unless: [{names: [kv-none]}]", "expect: {auditEvents: true}", name="tests", before=rules
    )
    on_azure(estate(vault(), *others, keys={}), story, environ=environ)


def test_what_could_not_be_read_is_told_and_the_rest_is_compared_all_the_same(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        faults = Faults(lambda _: "read")
        faults.install(azure.world)
        refused = {"status": 403, "code": "AuthorizationFailed"}
        faults.put([{"match": {"path": path}, "do": refused} for path in ("diagnosticSettings", "/keys$")])
        (report,) = await looked_at(azure)
        assert isinstance(report.outcome, Audited)
        told = [(one.reason, one.detail.partition(" could")[0]) for one in report.outcome.findings]
        assert told == [
            (Reason.VAULT_NOT_PROTECTED, "purge protection is off"),
            (Reason.NO_RIGHTS, "its diagnostic settings"),
            (Reason.NO_RIGHTS, "its keys"),
        ]

    environ = expecting(tmp_path, "expect: {purgeProtection: true, auditEvents: true, keys: {expiry: true}}")
    on_azure(estate(bare_vault()), story, environ=environ)


def test_when_azure_does_not_answer_the_audit_comes_back(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        faults = Faults(lambda _: "read")
        faults.install(azure.world)
        faults.put([{"match": {"path": "diagnosticSettings"}, "times": 8, "do": {"status": 503}}])
        (first,) = await looked_at(azure)
        assert isinstance(first.outcome, Waiting)
        assert Reason.VAULT_NOT_AUDITED in findings(await azure.drain(until=timedelta(hours=2)))

    on_azure(estate(vault()), story, environ=expecting(tmp_path, "expect: {auditEvents: true}"))


def test_only_vaults_that_are_known_are_read(tmp_path: Path) -> None:
    unknown = VAULT.replace("kv-main", "kv-forged")

    async def story(azure: Azure) -> None:
        (report,) = await looked_at(azure, vault_id=unknown)
        assert isinstance(report.outcome, Stopped)
        assert report.outcome.blocked[0].reason is Reason.VAULT_NOT_KNOWN
        assert not any("kv-forged" in one for one in azure.calls("read", "list", "childList"))
        (forged,) = await looked_at(azure, cursor="https://evil.example/keys?api-version=1")
        assert isinstance(forged.outcome, Audited)
        assert [one.reason for one in forged.outcome.findings] == [Reason.FOREIGN_HOST]

    on_azure(estate(vault()), story, environ=expecting(tmp_path, "expect: {keys: {expiry: true}}"))


def test_a_vault_that_was_deleted_meanwhile_is_gone(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await looked_at(azure)
        azure.world.resources.remove(VAULT)
        (report,) = await looked_at(azure)
        assert isinstance(report.outcome, Gone)

    on_azure(estate(vault()), story, environ=expecting(tmp_path, "expect: {rbac: true}"))


def test_each_vault_is_audited_in_its_own_quarter_of_the_day_and_by_a_sweep_that_is_asked_for(tmp_path: Path) -> None:
    vaults = [vault(), *(vault(f"kv-{at}") for at in range(6))]

    async def story(azure: Azure) -> None:
        seen: dict[int | None, set[str]] = {}
        for part in (0, 1, 2, 3, None):
            await azure.put(Sweep(Cause(f"sweep-{part}", Source.TIMER), azure.time.now(), slice=part))
            reports = [one for one in await azure.drain() if isinstance(one.outcome, Audited)]
            seen[part] = {one.address.folded for one in reports if one.address}
            await azure.drain(until=timedelta(hours=1))
        everything = {str(one["id"]).lower() for one in vaults}
        assert seen.pop(None) == everything
        assert set().union(*seen.values()) == everything
        assert sum(map(len, seen.values())) == len(everything)
        for part, found in seen.items():
            assert {slice_of(azure.address({"id": one})) for one in found} <= {part}

    described = estate(*vaults, keys={})
    on_azure(described, story, environ=expecting(tmp_path, "expect: {rbac: true}"))


def test_a_look_at_a_vault_audits_it_too_and_events_that_come_in_threes_do_it_once(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        asked = azure.time.now()
        for _ in range(3):
            await azure.put(CheckVault(CAUSE, asked, host="kv-main.vault.azure.net"))
        await asyncio.sleep(2)  # as intake lets events wait for their like
        reports = [one for one in await azure.drain() if isinstance(one.item, AuditVault)]
        assert [type(one.outcome) for one in reports if type(one.outcome) is not Answered] == [Audited]

    on_azure(estate(bare_vault()), story, environ=expecting(tmp_path, "expect: {purgeProtection: true}"))


def test_a_policy_that_says_nothing_of_vaults_costs_nothing(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        await azure.put(Sweep(CAUSE, azure.time.now()))
        await azure.put(CheckVault(CAUSE, azure.time.now(), host="kv-main.vault.azure.net"))
        assert not any(isinstance(one.item, AuditVault) for one in await azure.drain())

    on_azure(estate(account("st1", NEW)), story, environ=PolicyFile(tmp_path).environ)
