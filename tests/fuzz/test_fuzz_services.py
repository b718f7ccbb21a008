"""Every service of the registry, present and future, on bodies that Azure never sent."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.keys import BadKeyUrl, parse_key_url
from shared.domain.resource import Change, KeyUse
from shared.domain.service import Settled
from shared.services.registry import services
from tests.fuzz.shapes import JSON, TEXTS, examples, mutated, told
from tests.services.test_every_service import ALL, bodies


@pytest.mark.parametrize("service", ALL)
def test_a_body_of_any_shape_is_read_or_refused_and_what_is_read_can_be_written(service: Any) -> None:
    known = bodies(service)

    @examples(60)
    @given(mutated(known) | st.dictionaries(TEXTS, JSON, max_size=4))
    def holds(body: Any) -> None:
        assert service.settled(body) in Settled
        uses = told(BadKeyUrl, partial(service.read, body))
        if isinstance(uses, Exception):
            assert len(str(uses)) < 1000
            return
        assert all(isinstance(use, KeyUse) and parse_key_url(use.configured.url) == use.configured for use in uses)
        if uses and body.get("id") in [one["id"] for one in known]:  # a body that names another resource is not written
            changes = tuple(Change(use.slot, use.configured.key.at("f" * 32), follow=False) for use in uses)
            for request in service.write(body, changes):
                assert top_of(request.address.folded) == top_of(str(body["id"]).lower())

    holds()


def top_of(folded: str) -> str:
    """Return the id of the top-level resource: a key may have to be known beside the resource that names it."""
    return "/".join(folded.split("/")[:9])


def test_there_are_services_to_try() -> None:
    assert services()
