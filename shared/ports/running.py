"""What the app runs on: the time, the queue, what is written down, what it may do, and who it is."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import datetime
from typing import Protocol

from shared.domain.evidence_query import Page as EvidencePage
from shared.domain.evidence_query import Query as EvidenceQuery
from shared.domain.policy import Policy
from shared.domain.report import Report
from shared.domain.work import WorkItem

# The correlation id of the work going on: adapters put it on every request, the log on every line.
correlation: ContextVar[str] = ContextVar("correlation", default="")

# The change reference of that work, "" if it has none: Azure's own log can be asked by what is made of it.
change_reference: ContextVar[str] = ContextVar("change_reference", default="")


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...


class WorkQueue(Protocol):
    """The queue of work items."""

    async def put(self, item: WorkItem, *, visible_at: datetime | None = None) -> None:
        """Put one item, to be seen at `visible_at` or at once. Raises NotTaken, Refusal."""
        ...

    async def look(self) -> None:
        """Try the queue by one small read. Raises Refusal, TryLater."""
        ...


class Journal(Protocol):
    """Where reports go. A sink that fails is told of in `health`; it never undoes the work."""

    async def append(self, report: Report) -> None:
        """Write one report down."""
        ...


class Policies(Protocol):
    """The policy, as it stands now."""

    async def current(self) -> Policy:
        """Return the policy, at most half a minute old. Raises TryLater (POLICY_UNREADABLE)."""
        ...

    async def problem(self) -> str:
        """Return what is wrong with the policy or with fetching it; "" when all is well."""
        ...


class Turns(Protocol):
    """Things that only one of all instances does at a time."""

    async def take(self, name: str, owner: str, until: datetime) -> bool:
        """Take or keep a turn until then; False: somebody else has it."""
        ...

    async def give_back(self, name: str, owner: str) -> None:
        """End a turn early."""
        ...


class Evidence(Protocol):
    """What the journal keeps for good, read back."""

    async def read(self, query: EvidenceQuery) -> EvidencePage:
        """Return the first lines that are asked for, the oldest first. Raises AppError."""
        ...


class WriteSwitch(Protocol):
    """The kill switch."""

    async def is_on(self) -> bool:
        """Return whether writing is allowed right now. Asked before every write."""
        ...


class Myself(Protocol):
    """Who the app is to Azure."""

    async def principals(self) -> frozenset[str]:
        """Return the object id and client id of the app's identity, in lower case; empty if they cannot be told."""
        ...
