"""What comes along with a resource is looked at though the look at the resource itself had to begin again."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.faults import Faults
from shared.domain.report import Converged
from shared.domain.work import Source
from shared.usecases.intake import take_events
from tests.support.azure import Azure, on_azure
from tests.support.enforcing import policy
from tests.support.grid_events import resource_event
from tests.usecases.test_enforce_services import EVERYTHING, PLAIN, begun

SERVER = str(PLAIN["sql"]["id"])
TROUBLE: dict[str, dict[str, Any]] = {
    "throttled at its first read": {
        "match": {"path": "/servers/sqls$", "method": "GET"},
        "times": 1,
        "do": {"status": 429, "retryAfter": 5},
    },
    "without an answer of the index": {
        "match": {"path": "Microsoft.ResourceGraph"},
        "times": 1,
        "do": {"reset": "after"},
    },
}


async def told(azure: Azure) -> None:
    body = json.dumps([resource_event(SERVER)])
    await take_events(azure.app.context, body, source=Source.EVENT, new_id=lambda: "spare")


@pytest.mark.parametrize("again", [False, True], ids=["one event", "another one after it"])
@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=list(TROUBLE))
def test_the_protector_of_a_server_gets_its_key_at_the_event_though_the_server_was(
    tmp_path: Path, trouble: dict[str, Any], *, again: bool
) -> None:
    async def story(azure: Azure) -> None:
        faults = Faults(lambda _call: "other")
        faults.put([{**trouble, "times": 1 + again}])
        faults.install(azure.world)
        await told(azure)
        if again:
            await azure.drain()
            await told(azure)
        await azure.drain(until=timedelta(hours=1))
        protector = f"{SERVER}/encryptionprotector/current".lower()
        mine = [one for one in azure.reports if one.address and one.address.folded == protector]
        assert any(isinstance(one.outcome, Converged) and one.outcome.uses for one in mine)

    described = begun("sql", rbac=True)
    on_azure(described, story, environ=policy(tmp_path, EVERYTHING, "createKey: {size: 2048}"))
