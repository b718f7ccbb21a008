"""POST revoke on other services: whichever way a resource names its key, what its identity holds is found."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.domain.reasons import Reason
from shared.domain.revocation import Revoked, TakeRole
from shared.domain.vault import CRYPTO_USER
from shared.errors import Refusal
from shared.usecases import sharing
from tests.support.azure import Azure, on_azure
from tests.support.enforcing import UAI, user_assigned
from tests.support.keyed import example, using
from tests.support.policies import allowing
from tests.support.revoking import revoked, scopes_of, shared, wished

OWN = "99999999-0000-4000-8000-000000000009"
OF_ONE_IDENTITY = (
    "cognitiveservices_accounts-pinned",
    "compute_diskencryptionsets-pinned",
    "containerservice_managedclusters-newkms",
    "eventhub_namespaces-pinned",
    "dbforpostgresql_flexibleservers-pinned",
    "batch_batchaccounts-pinned",
)


def _principals(body: dict[str, Any]) -> list[str]:
    entries = (body["identity"], *(body["identity"].get("userAssignedIdentities") or {}).values())
    return [one["principalId"] for one in entries if one.get("principalId")]


@pytest.mark.parametrize("name", OF_ONE_IDENTITY)
def test_the_grant_of_a_resource_s_identity_is_found_and_taken_away(tmp_path: Path, name: str) -> None:
    one = json.loads(re.sub(r"kv-[a-z]+\.vault", "kv-main.vault", json.dumps(example(name))))

    async def story(azure: Azure) -> None:
        told = await wished(azure, one, dry_run=True)
        (step,) = told["steps"]
        assert isinstance(step, TakeRole)
        assert step.principal in _principals(azure.body(one))
        report = await revoked(azure, one)
        assert isinstance(report.outcome, Revoked)
        assert scopes_of(azure, step.principal) == []

    on_azure(using(one, role=CRYPTO_USER, size=2048), story, environ=allowing(tmp_path, "revoke"))


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("documentdb_databaseaccounts-following", {"type": "None"}),
        ("databricks_workspaces-pinned", {"type": "SystemAssigned", "principalId": OWN}),
    ],
)
def test_what_reaches_its_key_as_itself_is_not_called_revoked(
    tmp_path: Path, name: str, identity: dict[str, str]
) -> None:
    one = {**json.loads(json.dumps(example(name)).replace("kv-ledger", "kv-main")), "identity": identity}

    async def story(azure: Azure) -> None:
        told = await wished(azure, one, dry_run=True)
        assert (told["steps"], told["unreadable"]) == ([], None)
        assert {each.reason for each in told["remains"]} == {Reason.GRANTED_ELSEWHERE}
        with pytest.raises(Refusal, match="Azure's own"):
            await wished(azure, one)

    on_azure({**using(one), "roleAssignments": []}, story, environ=allowing(tmp_path, "revoke"))


def test_an_identity_of_too_many_resources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "MOST", 2)
    every = [shared(name) for name in ("st1", "st2", "st3")]
    described = using(*every, user_assigned(), principals=[user_assigned()["properties"]["principalId"]])
    assert UAI in str(described)

    async def story(azure: Azure) -> None:
        with pytest.raises(Refusal, match="3 resources have the identity; 2 can be looked at"):
            await wished(azure, every[0], dry_run=True)

    on_azure(described, story, environ=allowing(tmp_path, "revoke"))
