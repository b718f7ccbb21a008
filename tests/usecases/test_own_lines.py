from __future__ import annotations

from shared.usecases.own_lines import own_lines
from tests.support.azure import START, Azure, account, estate, on_azure, scope


def test_what_the_evidence_tells_of_a_resource_leaves_out_what_lies_below_it() -> None:
    top, below = account("st1"), scope("st1", "one")

    async def story(azure: Azure) -> None:
        await azure.check(below)
        await azure.check(top)
        page = await own_lines(azure.app.context, azure.address(top), START)
        assert {line["resource"].lower() for line in page.lines} == {azure.address(top).folded}

    on_azure(estate(top, below), story)
