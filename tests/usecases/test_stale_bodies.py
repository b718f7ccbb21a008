"""A body that came with a list is an observation for moments only: until somebody may have changed the resource."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest

from shared.domain.report import Converged
from shared.domain.work import Cause, CheckResource, Source
from shared.usecases.check_resource import check_resource
from shared.usecases.context import FRESH
from shared.usecases.observe import Seen
from tests.support.azure import MID, Azure, account, estate, on_azure

USER = account("st1")


@pytest.mark.parametrize("why", ["old", "written since"])
def test_a_body_that_is_old_or_was_written_since_is_read_again_before_anything_is_written(why: str) -> None:
    async def story(azure: Azure) -> None:
        context, now = azure.app.context, azure.time.now()
        listed = copy.deepcopy(azure.body(USER))
        at = now - FRESH - timedelta(seconds=1) if why == "old" else now
        if why != "old":
            context.recent.note_written(azure.address(USER), now)
        item = CheckResource(azure.address(USER), Cause("cause-1", Source.EVENT), now, now)
        report = await check_resource(context, item, Seen(listed, at))
        assert isinstance(report.outcome, Converged)
        assert azure.in_use(USER) == MID
        asked = [one.method for one in azure.world.log if one.url.partition("?")[0].endswith("/st1")]
        assert asked == ["GET", "PATCH", "GET"]

    on_azure(estate(USER), story)


def test_an_old_body_that_looks_well_is_no_reason_to_end() -> None:
    async def story(azure: Azure) -> None:
        now = azure.time.now()
        listed = copy.deepcopy(azure.body(USER))
        listed["properties"]["encryption"]["keyvaultproperties"] |= {
            "keyversion": MID,
            "currentVersionedKeyIdentifier": f"https://kv-main.vault.azure.net/keys/cmk/{MID}",
        }
        item = CheckResource(azure.address(USER), Cause("cause-1", Source.EVENT), now, now)
        await check_resource(azure.app.context, item, Seen(listed, now - FRESH - timedelta(seconds=1)))
        assert azure.in_use(USER) == MID

    on_azure(estate(USER), story)
