"""The SDKs without what they do only to be watched.

Of the fifteen policies of a pipeline some write logs and spans that nobody reads here; each costs two awaits a request.
Signing in, retrying, redirecting, checking and decoding stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import isawaitable
from typing import Any
from unittest import mock

from azure.core.pipeline import _base_async
from azure.core.pipeline.policies import (
    DistributedTracingPolicy,
    HttpLoggingPolicy,
    NetworkTraceLoggingPolicy,
    UserAgentPolicy,
)

WATCHING = (DistributedTracingPolicy, HttpLoggingPolicy, NetworkTraceLoggingPolicy, UserAgentPolicy)
_RUNNER = _base_async._SansIOAsyncHTTPPolicyRunner  # noqa: SLF001  there is no other way to what runs a policy


@contextmanager
def unwatched() -> Iterator[None]:
    """Pass over these policies in all pipelines."""
    with mock.patch.object(_RUNNER, "send", _send):
        yield


async def _send(self: Any, request: Any) -> Any:
    """Do what the runner does, with as few awaits as there are things to wait for."""
    policy = self._policy  # noqa: SLF001  in place of its own method
    if isinstance(policy, WATCHING):
        for name in ("logging_enable", "logging_body", "user_agent", "user_agent_overwrite", "tracing_options"):
            request.context.options.pop(name, None)
        return await self.next.send(request)
    if isawaitable(found := policy.on_request(request)):
        await found
    try:
        response = await self.next.send(request)
    except Exception:
        if isawaitable(found := policy.on_exception(request)):
            await found
        raise
    if isawaitable(found := policy.on_response(request, response)):
        await found
    return response
