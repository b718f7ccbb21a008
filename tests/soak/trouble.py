"""What goes wrong with requests: drawn for each one, before its effect and after it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sandbox.wire import Answer, Call, Json, Unreachable

BEFORE, AFTER, QUEUE = 0.10, 0.07, 0.03  # of a request, and of what the host does with a message
WRITTEN = 3.0  # times as much goes wrong with changes, of which there are few
OK = 200
TOO_LATE = 1000.0  # seconds; no client waits so long
IDENTITY, ARM, WORK = "127.0.0.1", "management.azure.com", "queue.core.windows.net"
SEARCH, BLOBS = ".search.windows.net", ".blob.core.windows.net"
CHANGING, DOOMED, LIED_ABOUT = 0.08, 0.4, 0.2  # of the changes: refused for an ETag; of operations


IDLE = 0.1  # of the changes of storage: accepted and not made
REPEATED = 0.1  # of the pages of the index: each row twice, and one that is none
ODD_TIMES = ("0", "-5", "soon", "Wed, 01 Jan 2020 00:00:00 GMT", "0, 5")
SAID_TO_FAIL, SAID_TO_GO_ON = "LRO is said to have failed", "LRO is said to go on"


def _operation_of(call: Call, answer: Answer) -> str:
    """Return where to ask about the operation that a request began, or ""."""
    if call.method not in {"PATCH", "PUT"} or call.host != ARM:
        return ""
    named = {name.lower(): value for name, value in answer.headers.items()}
    polled = named.get("azure-asyncoperation", "")
    return polled or (named.get("location", "") if answer.status == 202 else "")


def _moves_storage(call: Call) -> bool:
    return call.method == "PATCH" and call.host == ARM and "/microsoft.storage/" in call.path.lower()


def _changes(call: Call) -> bool:
    return call.method in {"PATCH", "PUT"} and (call.host == ARM or call.host.endswith(SEARCH))


def _may_be_unseen(call: Call) -> bool:
    """Return whether a request changes something that may have been changed meanwhile."""
    return _changes(call) or (call.host.endswith(BLOBS) and call.method == "PUT")


def _weight(call: Call) -> float:
    return WRITTEN if _changes(call) else 1.0


def _error(status: int, code: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer.of({"error": {"code": code, "message": "trouble"}}, status, named)


class Trouble:
    """Faults on the way. `counts` tells how often each kind struck."""

    def __init__(self, dice: random.Random) -> None:
        self.over = False
        self.queue_is_out = False  # it takes nothing from anybody
        self.blobs_are_out = False  # neither evidence nor turns
        self.operations_end_well = False  # what was begun may fail for a while longer than requests do
        self.counts: Counter[str] = Counter()
        self._dice = dice
        self._operations: dict[str, str] = {}  # what becomes of a long-running operation, by its URL

    def _strikes(self, odds: float) -> bool:
        return not self.over and self._dice.random() < odds

    def _fails(self, odds: float) -> bool:
        return not self.operations_end_well and self._dice.random() < odds

    def before(self, call: Call) -> Answer | None:
        """Answer in Azure's place, or break the connection, now and then."""
        if operation := self._operations.get(call.url):
            return self._operation(operation)
        if out := self._out(call):
            self.counts[out] += 1
            return self._refusals()["503"]()
        if _moves_storage(call) and self._strikes(IDLE):
            self.counts["200 that does nothing"] += 1
            return Answer.of({"id": call.path})
        if _may_be_unseen(call) and self._strikes(CHANGING):
            self.counts["412"] += 1
            return self._refusals()["412"]()
        if not self._strikes(BEFORE * _weight(call)):
            return None
        kind = self._dice.choice(self._kinds(call))
        self.counts[kind] += 1
        return self._refusals()[kind]()

    def _out(self, call: Call) -> str:
        """Return what is out for a while, if this request is for it."""
        if self.queue_is_out and not self.over and call.method == "POST" and call.host.endswith(WORK):
            return "the queue takes nothing"
        if self.blobs_are_out and not self.over and call.method == "PUT" and call.host.endswith(BLOBS):
            return "the evidence is refused"
        return ""

    @staticmethod
    def _kinds(call: Call) -> tuple[str, ...]:
        everywhere = ("reset", "timeout", "500", "503", "429", "429 with an odd time")
        if call.host.endswith(WORK):
            return ("reset", "timeout", "500", "503")
        if call.host == IDENTITY:
            return everywhere
        if call.host != ARM:
            return (*everywhere, "401 expired token", "502")
        only_writes = ("409",) if call.method in {"PATCH", "PUT"} else ()
        return (*everywhere, "429 without a time", "409", "502", "401 expired token", *only_writes)

    def doom(self, call: Call) -> Json:
        """Decide on the fate of the operation that this request begins, if it begins one; {}: all goes well."""
        if call.host != ARM or call.method not in {"PATCH", "PUT"} or not self._fails(DOOMED):
            return {}
        fate = self._dice.choice(("fail", "fail", "cancel", "stall"))
        soon_or_late = self._dice.choice((self._dice.uniform(0, 3), self._dice.uniform(1, 90)))
        return {"do": fate, **({} if fate == "stall" else {"seconds": soon_or_late})}

    def _refusals(self) -> dict[str, Callable[[], Answer]]:
        return {
            "reset": self._reset,
            "timeout": lambda: Answer(504, latency=TOO_LATE),
            "429": lambda: _error(429, "TooManyRequests", Retry_After=str(self._dice.randint(1, 40))),
            "429 with an odd time": lambda: _error(429, "TooManyRequests", Retry_After=self._dice.choice(ODD_TIMES)),
            "429 without a time": lambda: _error(429, "TooManyRequests"),
            "409": lambda: _error(409, "Conflict"),
            "412": lambda: _error(412, "PreconditionFailed"),
            "500": lambda: _error(500, "InternalServerError"),
            "502": lambda: _error(502, "BadGateway"),
            "503": lambda: _error(503, "ServiceUnavailable", Retry_After=str(self._dice.randint(0, 5))),
            "401 expired token": lambda: _error(401, "ExpiredAuthenticationToken"),
        }

    @staticmethod
    def _reset() -> Answer:
        raise Unreachable("trouble: no connection")

    def after(self, call: Call, answer: Answer) -> Answer:
        """Lose or spoil an answer once the effect has happened, now and then."""
        if (operation := _operation_of(call, answer)) and self._fails(LIED_ABOUT):
            self._operations[operation] = kind = self._dice.choice((SAID_TO_FAIL, SAID_TO_GO_ON))
            self.counts[kind] += 1
        if "/providers/Microsoft.ResourceGraph/" in call.path and answer.status == OK and self._strikes(REPEATED):
            self.counts["rows told twice"] += 1
            body = answer.json()
            return Answer.of({**body, "data": [*body["data"], *body["data"]]})
        if not self._strikes(AFTER * _weight(call)):
            return answer
        kinds = ["answer lost", "answer too late", "slow", "504 after the effect"]
        if len(answer.body) > 2 and not call.host.endswith(WORK):
            kinds += ["truncated body", "malformed body"]
        kind = self._dice.choice(kinds)
        self.counts[kind] += 1
        return self._spoilt(kind, answer)

    def _spoilt(self, kind: str, answer: Answer) -> Answer:
        match kind:
            case "answer lost":
                raise Unreachable("trouble: the answer got lost")
            case "answer too late":
                return replace(answer, latency=TOO_LATE)
            case "slow":
                return replace(answer, latency=self._dice.uniform(1, 15))
            case "504 after the effect":
                return _error(504, "GatewayTimeout")
            case "truncated body":
                return replace(answer, body=answer.body[: self._dice.randrange(1, len(answer.body))])
            case _:
                return replace(
                    answer, body=self._dice.choice((b"<html>busy</html>", b"{}", b"[]", b"null", b"\xff\xfe"))
                )

    def lies_about(self, call: Call, answer: Answer) -> bool:
        """Return whether the operation that a request began is said to have failed, or to go on, whatever it does."""
        return _operation_of(call, answer) in self._operations

    def _operation(self, fate: str) -> Answer | None:
        """Answer for a long-running operation: it stays as it is, or has failed, until operations end well again."""
        if self.operations_end_well:
            return None
        failed: Any = {"status": "Failed", "error": {"code": "OperationFailed", "message": "trouble"}}
        return Answer.of(failed if fate == SAID_TO_FAIL else {"status": "InProgress"})

    def queue_fails(self, kind: str) -> bool:
        """Return whether the host's own dealing with the queue goes wrong now."""
        if not self._strikes(QUEUE):
            return False
        self.counts[kind] += 1
        return True
