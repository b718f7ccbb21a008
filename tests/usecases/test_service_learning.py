"""Azure Machine Learning workspaces on the sandbox: one member may be updated, in one vault."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.keyed.cosmos import APPLICATION
from sandbox.identity import principal_of
from shared.domain.policy import Version
from shared.domain.reasons import Reason
from shared.domain.report import Certainty, Converged, Waiting
from shared.domain.service import Can, Verb
from shared.services.learning import WORKSPACES
from tests.support.azure import MID, OLD, Azure, on_azure, vault
from tests.support.keyed import KEY, at_rest, differences, example, grant, in_effect, script, using, wish
from tests.support.policies import allowing

MAIN = example("machinelearningservices_workspaces-pinned")
HUB = example("machinelearningservices_workspaces-hub")
PROJECT = example("machinelearningservices_workspaces-project")
SIDE = example("machinelearningservices_workspaces-serviceside")
STORE = example("machinelearningservices_workspaces-featurestore")
IDENTIFIER = "properties.encryption.keyVaultProperties.keyIdentifier"


def with_cosmos(azure: Azure) -> None:
    """Let Azure Cosmos DB use the key too, which keeps a workspace's metadata under it."""
    grant(azure, principal_of(azure.world, APPLICATION))


@pytest.mark.parametrize("one", [MAIN, STORE], ids=lambda one: one["kind"])
def test_a_workspace_moves_and_nothing_but_its_key_identifier_changes(one: dict[str, Any], tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        with_cosmos(azure)
        before = at_rest(azure, one)
        (first,) = await azure.check(one)
        assert isinstance(first.outcome, Waiting)
        await azure.drain(until=timedelta(minutes=10))
        end = azure.reports[-1].outcome
        assert isinstance(end, Converged)
        assert end.certainty is Certainty.CONFIGURED
        assert in_effect(azure, one) == [MID]
        assert differences(before, at_rest(azure, one)) == {IDENTIFIER: f"{KEY}/{MID}"}
        await azure.check(one)
        assert len(azure.calls("write")) == 1

    on_azure(using(one), story, environ=allowing(tmp_path, "unproven"))


def test_a_workspace_is_not_written_without_a_rule_that_allows_the_unproven() -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(MAIN)
        assert report.reasons == (Reason.NOT_ALLOWED_BY_RULE,)
        assert azure.calls("write") == []

    on_azure(using(MAIN), story)


def test_without_the_rights_of_cosmos_db_the_move_fails_in_azures_words(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(MAIN)
        assert report.reasons == (Reason.KEY_ACCESS_DENIED,)
        assert "Azure Cosmos DB" in str(report.outcome)
        assert in_effect(azure, MAIN) == [OLD]

    on_azure(using(MAIN), story, environ=allowing(tmp_path, "unproven"))


def test_an_operation_that_fails_behind_its_location_is_told_in_azures_words(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        with_cosmos(azure)
        script(azure, do="fail", code="WorkspaceIsOdd", message="Not today.")
        await azure.check(MAIN)
        await azure.drain(until=timedelta(minutes=20))
        assert "WorkspaceIsOdd" in str([report.outcome for report in azure.reports])
        assert in_effect(azure, MAIN) == [OLD]

    on_azure(using(MAIN), story, environ=allowing(tmp_path, "unproven"))


def test_a_projects_key_is_its_hubs() -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(PROJECT)
        assert report.reasons == (Reason.MANAGED_BY_AZURE,)
        assert azure.calls("write") == []

    on_azure(using(HUB, PROJECT, size=2048), story)


def test_a_hub_gets_no_key_that_its_documents_do_not_name(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(HUB)
        assert report.reasons == (Reason.KEY_TYPE_NOT_ACCEPTED,)
        assert azure.calls("write") == []

    on_azure(using(HUB, size=3072), story, environ=allowing(tmp_path, "unproven"))


def test_whether_service_side_encryption_takes_a_new_key_is_unverified() -> None:
    assert [WORKSPACES.traits_of(one).ability(Verb.REPOINT) for one in (MAIN, SIDE)] == [Can.YES, Can.UNVERIFIED]


def test_a_refusal_of_service_side_encryption_is_told(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await azure.check(SIDE)
        assert report.reasons == (Reason.REFUSED,)
        assert "service-side encryption" in str(report.outcome)

    on_azure(using(SIDE), story, environ=allowing(tmp_path, "unproven"))


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"revert": True}, Reason.NO_WAY_BACK),
        ({"version": Version.FOLLOW}, Reason.NEVER_FOLLOWS),
        ({"key": "https://kv-far.vault.azure.net/keys/cmk"}, Reason.SAME_VAULT_ONLY),
    ],
)
def test_what_a_workspace_cannot_do_is_told_and_nothing_is_written(
    wanted: dict[str, Any], reason: Reason, tmp_path: Path
) -> None:
    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, MAIN, **wanted)
        assert report.reasons == (reason,)
        assert azure.calls("write") == []

    described = using(MAIN, vault("kv-far"))
    described["keys"]["kv-far"] = described["keys"]["kv-main"]
    on_azure(described, story, environ=allowing(tmp_path, "unproven"))


def test_a_first_key_is_chosen_at_creation(tmp_path: Path) -> None:
    bare = {**MAIN, "properties": {"provisioningState": "Succeeded"}}

    async def story(azure: Azure) -> None:
        (report,) = await wish(azure, bare, key=KEY)
        assert report.reasons == (Reason.CHOSEN_AT_CREATION,)

    on_azure(using(bare), story, environ=allowing(tmp_path, "unproven"))
