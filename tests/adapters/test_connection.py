"""What all clients share: the app's identity."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from sandbox.transport import InProcessTransport
from sandbox.wire import Answer
from sandbox.world import Hooks
from shared.adapters.connection import managed_identity
from tests.support.azure import Azure, estate, on_azure

SCOPE = "https://management.azure.com/.default"


@pytest.mark.parametrize("client_id", ["", "33333333-3333-3333-3333-333333333333"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_where_no_token_is_to_be_had_nobody_waits_for_long(status: int, client_id: str) -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=lambda call: Answer(status) if call.host == "127.0.0.1" else None)
        began = azure.time.now()
        with pytest.raises((ClientAuthenticationError, HttpResponseError)):
            await managed_identity(client_id, transport=InProcessTransport(azure.cloud)).get_token(SCOPE)
        assert (azure.time.now() - began).total_seconds() < 3
        assert 1 <= len([one for one in azure.world.log if one.kind == "identity"]) <= 3

    on_azure(estate(), story)
