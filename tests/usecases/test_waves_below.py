"""Waves of what lies below others: objects of search services and protectors of SQL servers go with the one above."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.arm.searchservices import objects
from shared.domain.reasons import Reason
from shared.domain.resource import address_of
from shared.domain.work import Cause, Source
from shared.usecases.forms import ConvergeWish
from shared.usecases.wishes import converge_item, put_or_plan
from tests.support.azure import MID, OLD, START, Azure, on_azure
from tests.support.moving import in_effect
from tests.support.policies import PolicyFile
from tests.support.waves import DAY, KEY, TWO_WAVES, canaries, just_rotated, others, rule
from tests.usecases.test_service_search import HOTELS, SERVICE
from tests.usecases.test_service_sql import protected, protector, server

CAUSE = Cause("h", Source.HTTP)
RULE = rule(TWO_WAVES, "may: [unproven, put]")
SERVERS = [server(f"sql{number}") for number in range(10)]
SEARCHES = [
    {**SERVICE, "id": f"{SERVICE['id'].rpartition('/')[0]}/srch{number}", "name": f"srch{number}"}
    for number in range(10)
]


def sql() -> dict[str, Any]:
    return just_rotated(*protected(*SERVERS))


def search() -> dict[str, Any]:
    names = {str(one["name"]): {"indexes": [copy.deepcopy(HOTELS)]} for one in SEARCHES}
    return just_rotated(*SEARCHES, search=names)


def of_sql(azure: Azure, some: list[dict[str, Any]]) -> set[str]:
    return {one for server_ in some for one in in_effect(azure, protector(server_)["id"]).values()}


def of_search(azure: Azure, some: list[dict[str, Any]]) -> set[str]:
    stored = (objects(azure.world, str(one["name"]), "indexes")["hotels"] for one in some)
    return {str(one["encryptionKey"]["keyVaultKeyVersion"]) for one in stored}


def wrote(azure: Azure) -> list[dict[str, Any]]:
    return [write for one in azure.outcomes() for write in one["data"]["wrote"]]


SERVICES = [(sql, SERVERS, of_sql), (search, SEARCHES, of_search)]


@pytest.mark.parametrize(("described", "tops", "versions"), SERVICES, ids=["sql", "search"])
def test_what_lies_below_moves_in_the_wave_of_what_it_lies_in(
    tmp_path: Path, described: Any, tops: list[dict[str, Any]], versions: Any
) -> None:
    first, rest = canaries(tops), others(tops)
    assert first
    assert rest

    async def story(azure: Azure) -> None:
        await azure.check_key()
        await azure.drain(until=timedelta(hours=3))
        assert versions(azure, first) == {MID}
        assert versions(azure, rest) == {OLD}
        held = [one for one in azure.outcomes() if Reason.WAVE_NOT_OPEN.value in str(one["data"]["outcome"])]
        assert {address_of(one["subject"]).top.arm.name for one in held} == {one["name"] for one in rest}
        assert all(f"with {address_of(one['subject']).top.arm.name}" in str(one["data"]) for one in held)
        await azure.drain(until=DAY + timedelta(hours=3))
        assert versions(azure, rest) == {MID}
        late = [one for one in wrote(azure) if datetime.fromisoformat(one["at"]) >= START + DAY]
        assert len(late) == len(rest)

    on_azure(described(), story, environ=PolicyFile(tmp_path, RULE).environ)


@pytest.mark.parametrize(("described", "tops", "versions"), SERVICES, ids=["sql", "search"])
@pytest.mark.parametrize("urgent", [True, False], ids=["urgent", "by name"])
def test_an_urgent_order_or_one_by_name_waits_for_no_wave_below_either(
    tmp_path: Path, described: Any, tops: list[dict[str, Any]], versions: Any, *, urgent: bool
) -> None:
    rest = others(tops)
    below = protector(rest[0])["id"] if described is sql else f"{rest[0]['id']}/indexes/hotels"

    async def story(azure: Azure) -> None:
        wanted = ConvergeWish(key=KEY, urgent=True) if urgent else ConvergeWish(resource=below)
        await azure.put(converge_item(wanted, CAUSE, azure.time.now()))
        await azure.drain(until=timedelta(hours=2))
        assert versions(azure, rest[:1]) == {MID}
        assert versions(azure, rest[1:]) == ({MID} if urgent else {OLD})

    on_azure(described(), story, environ=PolicyFile(tmp_path, RULE).environ)


@pytest.mark.parametrize(("described", "tops", "versions"), SERVICES, ids=["sql", "search"])
def test_a_dry_run_for_the_key_counts_below_as_it_then_comes(
    tmp_path: Path, described: Any, tops: list[dict[str, Any]], versions: Any
) -> None:
    async def story(azure: Azure) -> None:
        look = converge_item(ConvergeWish(key=KEY), CAUSE, azure.time.now())
        told = await put_or_plan(azure.app.context, look, dry_run=True)
        first, rest = canaries(tops), others(tops)
        assert (told["counts"]["changed"], told["counts"]["waits"]) == (len(first), len(rest))
        await put_or_plan(azure.app.context, look, dry_run=False)
        await azure.drain(until=timedelta(hours=3))
        assert len(wrote(azure)) == len(first)
        assert versions(azure, rest) == {OLD}

    on_azure(described(), story, environ=PolicyFile(tmp_path, RULE).environ)
