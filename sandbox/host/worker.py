"""The worker: Microsoft's Python worker runtime, given an app's folder and asked to call its functions.

The runtime's state is global to the process (loaded functions, protos, thread pool). A second worker for the same app
is possible once the first one's modules are put away, which `start` and `stop` do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import azure_functions_runtime as runtime

from sandbox.host import messages
from sandbox.host.functions import Function, describe
from sandbox.host.hostjson import HostError
from sandbox.host.messages import InvocationResponse, Message, ParameterBinding, TypedData

# Folders of a source tree that are never part of a deployed app; this package may itself lie inside the app's folder.
_NOT_THE_APP = frozenset({__name__.partition(".")[0], "tests", "conftest", "__main__"})


class FunctionFailed(Exception):
    """The function raised; the message is the exception's type and text, `trace` its stack."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace


class Worker:
    """Runs the functions of one app folder."""

    def __init__(self, app_dir: Path) -> None:
        self._app_dir = app_dir.resolve()
        self._put_away: dict[str, ModuleType] = {}
        self._path_before: list[str] = []

    async def start(self, settings: Mapping[str, str]) -> dict[str, Function]:
        """Import and index the app; return its functions by name. An error in it, or no functions, raises HostError."""
        self._put_away = self._take_modules()
        self._take_path()
        try:
            return await self._index(str(self._app_dir), settings)
        except BaseException:
            self._clean()
            raise

    async def _index(self, folder: str, settings: Mapping[str, str]) -> dict[str, Function]:
        init = Message(capabilities={}, function_app_directory=folder, host_version="4.0", worker_directory="")
        begun = await runtime.worker_init_request(messages.request(worker_init_request=init))
        if begun.result.status != messages.StatusResult.Success:
            failure = begun.result.exception
            raise HostError(f"the app cannot be loaded: {failure.message}\n{failure.stack_trace}")
        listed = await runtime.functions_metadata_request(messages.request())
        described = [
            describe(one.name, one.function_id, one.raw_bindings, settings)
            for one in listed.function_metadata_results or ()
        ]
        if not described:
            raise HostError(f"no functions found in {folder}: is there a function_app.py that registers some?")
        for one in described:
            load = Message(function_id=one.id, metadata=Message(name=one.name))
            await runtime.function_load_request(messages.request(function_load_request=load))
        runtime.start_threadpool_executor()
        return {one.name: one for one in described}

    async def invoke(
        self, function: Function, call_id: str, value: TypedData, metadata: Mapping[str, TypedData] | None = None
    ) -> InvocationResponse:
        """Run a function on its trigger's value; an exception in it raises FunctionFailed."""
        call = Message(
            invocation_id=call_id,
            function_id=function.id,
            input_data=[ParameterBinding(function.trigger["name"], value)],
            trigger_metadata=metadata or {},
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        response: InvocationResponse = await runtime.invocation_request(messages.request(invocation_request=call))
        if response.result.status != messages.StatusResult.Success:
            raise FunctionFailed(response.result.exception.message, response.result.exception.stack_trace)
        return response

    def stop(self) -> None:
        """End the thread pool and put the process's modules back as they were."""
        runtime.stop_threadpool_executor()
        self._clean()

    def _clean(self) -> None:
        self._take_modules()
        sys.modules.update(self._put_away)
        self._put_away = {}
        if self._path_before:
            sys.path[:] = self._path_before
            self._path_before = []

    def _take_modules(self) -> dict[str, ModuleType]:
        """Take every module that goes by a name of the app out of the process, whoever imported it."""
        names = {path.stem for path in self._app_dir.iterdir() if path.suffix in {"", ".py"}} - _NOT_THE_APP
        mine = {
            name: module
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in names and not _is_installed(module)
        }
        for name in mine:
            del sys.modules[name]
        return mine

    def _take_path(self) -> None:
        """Put the app's folder last, as the worker does, and other apps' folders away: they would come before it."""
        self._path_before = list(sys.path)
        sys.path[:] = [entry for entry in sys.path if not (Path(entry) / "function_app.py").exists()]
        sys.path.append(str(self._app_dir))


def _is_installed(module: ModuleType) -> bool:
    file = str(getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), sys.prefix))
    return file.startswith((sys.prefix, sys.base_prefix))
