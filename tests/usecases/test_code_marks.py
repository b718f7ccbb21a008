"""Resources that infrastructure code owns are told of and left to it, unless a rule or a caller says otherwise."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.domain.code_marks import DEFAULT_MARKS, mark_of
from shared.domain.reasons import Reason
from shared.domain.report import Stopped
from shared.domain.work import Cause, Source
from shared.usecases.forms import ConvergeWish, EnforceWish
from shared.usecases.wishes import converge_item, enforce_item, put_or_plan
from tests.support.azure import MID, OLD, Azure, account, estate, on_azure, scope
from tests.support.policies import PolicyFile
from tests.support.waves import KEY, moved, rule

HTTP = Cause("http", Source.HTTP)


def owned(name: str = "stcode", **tags: str) -> dict[str, Any]:
    return {**account(name), "tags": tags or {"ManagedBy": "Terraform"}}


def policy(folder: Path, *lines: str) -> dict[str, str]:
    return PolicyFile(folder, rule(*lines)).environ


@pytest.mark.parametrize(
    "tags",
    [
        {"managed-by": "terraform"},
        {"managed_by": "bicep"},
        {"ManagedBy": "Pulumi"},
        {"managedby": "Terraform Cloud"},
        {"crossplane-name": "ledger"},
    ],
)
def test_clear_marks_are_read_whatever_their_case_and_hyphens(tags: dict[str, str]) -> None:
    ((name, value),) = tags.items()
    assert mark_of(tags, DEFAULT_MARKS) == f"{name}={value}"


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"managed-by": "platform team"},
        {"owner": "terraform"},
        {"created-by": "terraform"},
        {"hidden-link:/subscriptions/x": "Resource"},
        {"manager": "bicep"},
    ],
)
def test_what_may_mean_anything_is_no_mark(tags: dict[str, str]) -> None:
    assert mark_of(tags, DEFAULT_MARKS) == ""


def test_what_code_owns_is_told_of_and_not_written(tmp_path: Path) -> None:
    code, free = owned(), account("stfree")

    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(minutes=1))
        (report,) = [one for one in azure.reports if isinstance(one.outcome, Stopped)]
        assert report.reasons == (Reason.OWNED_BY_CODE,)
        assert "ManagedBy=Terraform" in str(report.outcome)
        assert (azure.in_use(code), azure.in_use(free)) == (OLD, MID)

    on_azure(estate(code, free), story, environ=policy(tmp_path))


def test_a_scope_is_owned_with_its_account(tmp_path: Path) -> None:
    code, free = owned(), account("stfree")
    scopes = [scope("stcode", "one"), scope("stfree", "two")]

    async def story(azure: Azure) -> None:
        await azure.check_key()
        other = azure.instance()  # one that has seen neither account
        assert [azure.in_use(one) for one in scopes] == [OLD, MID]
        azure.app = other
        (report,) = await azure.check(scopes[0])
        assert report.reasons == (Reason.OWNED_BY_CODE,)

    on_azure(estate(code, free, *scopes), story, environ=policy(tmp_path))


def test_a_rule_may_say_fix_and_may_name_other_marks(tmp_path: Path) -> None:
    code, stack = owned(), owned("ststack", stack="ledger-prod")

    async def fixed(azure: Azure) -> None:
        await azure.check_key()
        assert moved(azure, [code, stack]) == {MID}

    on_azure(estate(code, stack), fixed, environ=policy(tmp_path, "ownedByCode: fix"))

    async def named(azure: Azure) -> None:
        await azure.check_key()
        assert (azure.in_use(code), azure.in_use(stack)) == (MID, OLD)

    on_azure(estate(code, stack), named, environ=policy(tmp_path, 'codeTags: {stack: ["*-prod"]}'))


def test_a_caller_who_names_the_resource_moves_it(tmp_path: Path) -> None:
    code = owned()

    async def story(azure: Azure) -> None:
        await azure.put(converge_item(ConvergeWish(key=KEY), HTTP, azure.time.now()))
        await azure.drain()
        assert azure.in_use(code) == OLD
        await azure.put(converge_item(ConvergeWish(resource=str(code["id"])), HTTP, azure.time.now()))
        await azure.drain()
        assert azure.in_use(code) == MID

    on_azure(estate(code), story, environ=policy(tmp_path))


def test_a_dry_run_tells_whose_it_is(tmp_path: Path) -> None:
    async def story(azure: Azure) -> None:
        item = converge_item(ConvergeWish(key=KEY), HTTP, azure.time.now())
        (told,) = (await put_or_plan(azure.app.context, item, dry_run=True))["resources"]
        assert [step.reason for step in told["steps"]] == [Reason.OWNED_BY_CODE]

    on_azure(estate(owned()), story, environ=policy(tmp_path))


def test_marks_cost_no_request_on_the_way_of_a_key_event(tmp_path: Path) -> None:
    accounts = [account(f"st{number}") for number in range(5)]
    scopes = [scope("st0", f"scope{number}") for number in range(5)]

    def requests(*lines: str) -> int:
        async def story(azure: Azure) -> int:
            await azure.check_key()
            assert moved(azure, accounts + scopes) == {MID}
            return len(azure.world.log)

        return on_azure(estate(*accounts, *scopes), story, environ=policy(tmp_path, *lines))

    assert requests() == requests("ownedByCode: fix")


def test_who_wishes_that_everything_be_enforced_has_named_nobody_s_resource(tmp_path: Path) -> None:
    mine, theirs = account("stplain"), owned()

    async def story(azure: Azure) -> None:
        item = enforce_item(EnforceWish(all=True), HTTP, azure.time.now())
        await put_or_plan(azure.app.context, item, dry_run=False)
        await azure.drain()
        assert (azure.in_use(mine), azure.in_use(theirs)) == (MID, OLD)

    on_azure(estate(mine, theirs), story, environ=policy(tmp_path))
