"""What all clients share: the app's identity, what is sent again, and what is not followed."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from azure.core import AsyncPipelineClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError
from azure.core.rest import HttpRequest

from sandbox.transport import InProcessTransport
from sandbox.wire import Answer, Call, Unreachable
from sandbox.world import Hooks
from shared.adapters.connection import ShortRetry, managed_identity
from shared.domain.work import Cause, CheckResource, Source, encode
from shared.errors import AppError
from shared.usecases.handle import handle
from tests.support.azure import Azure, account, estate, on_azure

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


def _lost(_: Call, __: Answer) -> Answer:
    raise Unreachable("the answer got lost")


@pytest.mark.parametrize(("method", "times"), [("GET", 3), ("PUT", 1), ("PATCH", 1), ("POST", 1), ("DELETE", 1)])
@pytest.mark.parametrize("fault", [Hooks(after=_lost), Hooks(after=lambda *_: Answer(503))])
def test_only_a_read_whose_answer_got_lost_is_sent_again_unseen(fault: Hooks, method: str, times: int) -> None:
    async def story(azure: Azure) -> None:
        azure.world.hooks = fault
        transport = InProcessTransport(azure.cloud)
        client: AsyncPipelineClient[Any, Any] = AsyncPipelineClient("", policies=[ShortRetry()], transport=transport)
        request = HttpRequest(method, "https://management.azure.com/subscriptions?api-version=2022-12-01")
        with suppress(ServiceRequestError):
            assert (await client.send_request(request)).status_code == 503
        assert len(azure.world.log) == times

    on_azure(estate(), story)


@pytest.mark.parametrize("suffix", [".vault.azure.net", ".queue.core.windows.net", ".eventgrid.azure.net"])
def test_no_redirect_is_followed_even_to_a_host_that_such_a_token_is_good_for(suffix: str) -> None:
    elsewhere = f"evil{suffix}"

    def leading(call: Call) -> Answer | None:
        leads = call.host.endswith(suffix) and call.host != elsewhere
        return Answer(307, {"Location": call.url.replace(call.host, elsewhere)}) if leads else None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=leading)
        now = azure.time.now()
        item = CheckResource(azure.address(account("st1")), Cause("c", Source.EVENT), now, now)
        with suppress(AppError):
            await handle(azure.app.context, encode(item))
        with suppress(AppError):
            await azure.put(item)
        assert [one for one in azure.world.log if suffix in one.url]
        assert [one.url for one in azure.world.log if elsewhere in one.url] == []

    on_azure(estate(account("st1")), story)
