"""The messages that pass between host and worker: plain classes named as in FunctionRpc.proto.

The worker runtime takes this module as its `protos`; it reads and sets attributes and asks `WhichOneof`, nothing else.
[azure-functions-runtime 1.3.0; azure-functions-language-worker-protobuf, FunctionRpc.proto]
"""

from __future__ import annotations

import sys
from datetime import datetime
from types import SimpleNamespace
from typing import Any


class Message(SimpleNamespace):
    """A bag of fields, as generated message classes are after construction by keyword."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802  protobuf's name
        """Return the name of the one field that is set; the group's name does not matter here."""
        del group
        return next((name for name, value in vars(self).items() if value is not None), None)


class TypedData(Message):
    """One value: string, bytes, json (text) or http."""


class ParameterBinding(Message):
    """A function's parameter and its value."""

    def __init__(self, name: str, data: TypedData | None) -> None:
        super().__init__(name=name, data=data)

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802  protobuf's name
        """Return "data": values never travel by shared memory here."""
        del group
        return "data"


class RpcHttp(Message):
    """An HTTP request (method, url, headers, params, query, body) or response (status_code, headers, cookies, body)."""


class BindingInfo(Message):
    """A binding's type, direction and data type; the numbers are FunctionRpc.proto's."""

    in_ = 0
    out = 1
    inout = 2
    undefined = 0


class StatusResult(Message):
    """How a request to the worker ended."""

    Failure = 0
    Success = 1

    def __init__(self, status: int, exception: RpcException | None = None) -> None:
        super().__init__(status=status, exception=exception)


class RpcException(Message):
    """What went wrong in the worker: message and stack_trace."""

    message: str
    stack_trace: str


class WorkerInitResponse(Message):
    """The worker's capabilities, and in `result` whether the app could be indexed."""

    result: StatusResult


class FunctionMetadataResponse(Message):
    """The indexed functions, or None when there is no function_app.py."""

    function_metadata_results: list[RpcFunctionMetadata] | None


class FunctionLoadResponse(Message):
    """Whether a function could be loaded."""

    result: StatusResult


class InvocationResponse(Message):
    """What a call returned, which outputs it set, and whether it failed."""

    def __init__(
        self,
        invocation_id: str,
        result: StatusResult,
        return_value: TypedData | None = None,
        output_data: list[ParameterBinding] | None = None,
    ) -> None:
        super().__init__(
            invocation_id=invocation_id, result=result, return_value=return_value, output_data=output_data or []
        )


class RpcFunctionMetadata(Message):
    """A function's name, id and raw bindings (JSON texts)."""

    name: str
    function_id: str
    raw_bindings: list[str]


class WorkerMetadata(Message):
    """The runtime's name and version."""


class RpcRetryOptions(Message):
    """A retry policy; the host does not act on one."""


class RpcHttpCookie(Message):
    """A cookie that a function sets."""

    SameSite = SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


class NullableString(Message):
    """A string that may be absent."""


class NullableBool(Message):
    """A truth value that may be absent."""


class NullableDouble(Message):
    """A number that may be absent."""


class Timestamp(Message):
    """Seconds since the epoch."""


class NullableTimestamp(Message):
    """A time that may be absent."""


def request(**fields: Any) -> Message:
    """Wrap a request as the worker's dispatcher does."""
    return Message(request=Message(**fields), properties={"protos": sys.modules[__name__], "host": "127.0.0.1"})


def text(value: str) -> TypedData:
    """Return a string value."""
    return TypedData(string=value)


def moment(value: datetime) -> TypedData:
    """Return a time as the host sends one in trigger metadata: a JSON string."""
    return TypedData(json=f'"{value:%Y-%m-%dT%H:%M:%S}+00:00"')
