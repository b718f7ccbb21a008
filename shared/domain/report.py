"""What came of a piece of work."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import msgspec
from msgspec import Struct

from shared.domain.keys import KeyId, KeyRef
from shared.domain.life import AtRisk
from shared.domain.preparation import Preparation
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.remedies import REMEDIES
from shared.domain.resource import Address, Edit, Json
from shared.domain.revocation import Announced, Revoked, Taking
from shared.domain.vault_audit import Audited
from shared.domain.work import WorkItem


class Certainty(Enum):
    """How sure it is that a resource uses the version it should."""

    REPORTED = "reported"  # the service says which version is in effect: this is what "verified" means
    CONFIGURED = "configured"  # the resource names the version; the service does not say what is in effect
    UNKNOWN = "unknown"  # the service follows by itself and does not say
    NONE = "none"  # the resource uses no customer-managed key


class InUse(Struct, frozen=True):
    """One key use as it was found at the end."""

    slot: str
    configured: KeyRef
    follows: bool
    effective: str | None


class Converged(Struct, frozen=True, tag="converged"):
    """Every key use is where it should be."""

    certainty: Certainty
    uses: tuple[InUse, ...] = ()
    through: tuple[str, ...] = ()  # the ids of the resources whose keys it uses
    doubts: tuple[Blocked, ...] = ()  # what makes the certainty unknown, where something would settle it


class Waiting(Struct, frozen=True, tag="waiting"):
    """Not there yet; a successor was put on the queue."""

    wait: Wait
    uses: tuple[InUse, ...] = ()
    blocked: tuple[Blocked, ...] = ()  # other slots that no waiting helps


class Stopped(Struct, frozen=True, tag="stopped"):
    """Not there, and it will not get there without help."""

    blocked: tuple[Blocked, ...]
    uses: tuple[InUse, ...] = ()
    at_risk: AtRisk | None = None  # of a key that ends: who uses it


class Gone(Struct, frozen=True, tag="gone"):
    """The resource does not exist (any more)."""


class LeftAlone(Struct, frozen=True, tag="leftAlone"):
    """The rule for it says ignore."""

    rule: str


class Answered(Struct, frozen=True, tag="answered"):
    """Something observed after the question was asked already answers it; nothing was read."""


class Paced(Struct, frozen=True, tag="paced"):
    """Put back on the queue until its slot, to stay below what Azure allows; nothing was read."""

    until: datetime


class Expanded(Struct, frozen=True, tag="expanded"):
    """A page of candidates was looked through and work was put on the queue."""

    looked_at: int
    put: int
    more: bool
    unencrypted: int = 0  # resources on the platform's key of which a rule says that it is to be reported
    blocked: tuple[Blocked, ...] = ()  # what could not be looked at, such as a subscription that is expected


class Rotated(Struct, frozen=True, tag="rotated"):
    """A new version of a key was made, and its users are going to be looked at."""

    key: KeyId
    version: str


class Begun(Struct, frozen=True, tag="begun"):
    """What is about to be written, put down before: a step, or changes of a resource and what its slots use so far, or
    (neither) a new version of the key at that place. `id`: what the report of it closes.
    """

    id: str
    place: str
    step: Preparation | None = None
    changes: tuple[Edit, ...] = ()
    uses: tuple[InUse, ...] = ()


Outcome = (
    Rotated
    | Begun
    | Announced
    | Revoked
    | Audited
    | Converged
    | Waiting
    | Stopped
    | Gone
    | LeftAlone
    | Answered
    | Paced
    | Expanded
)


class Write(Struct, frozen=True):
    """A change that was sent: which slot, from which key version to which. Not accepted: its answer got lost.

    Overtaken: when it was read back its target was no longer the one to use. The key had moved on meanwhile; if another
    instance had gone there, this write lost its race. The next change, in the same look if it can, puts it right.

    `fields_before` and `fields_after` are the key's fields as they were in the body and as they were sent, by path.
    """

    at: datetime
    slot: str
    before: KeyRef | None  # None: the platform's key
    after: KeyRef | None
    accepted: bool = True
    fields_before: Json = {}
    fields_after: Json = {}
    overtaken: bool = False


class Done(Struct, frozen=True):
    """A step beside the resource itself: what was done to the thing of that id. Not accepted: its answer got lost."""

    at: datetime
    step: Preparation | Taking
    place: str
    accepted: bool = True


class Report(Struct, frozen=True):
    """One piece of work and what came of it: goes to the log and to the outcome topic."""

    at: datetime
    item: WorkItem | None  # None: a message that is no work item
    outcome: Outcome
    address: Address | None = None
    planned: tuple[Edit, ...] = ()
    wrote: tuple[Write, ...] = ()
    to_do: str = ""  # what the change leaves to people
    did: tuple[Done, ...] = ()
    closes: tuple[str, ...] = ()  # the ids of what was put down before, and of which this tells

    @property
    def overtaken(self) -> int:
        """Return how many of the writes had been overtaken when they were read back."""
        return sum(write.overtaken for write in self.wrote)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Return why the work is not done, if it is not, or why nobody can be sure that it is."""
        if isinstance(self.outcome, Stopped):
            return tuple(blocked.reason for blocked in self.outcome.blocked)
        if isinstance(self.outcome, Waiting):
            return (self.outcome.wait.reason, *(blocked.reason for blocked in self.outcome.blocked))
        if isinstance(self.outcome, Audited):
            return tuple(dict.fromkeys(one.reason for one in self.outcome.findings))
        if isinstance(self.outcome, Converged):
            return tuple(dict.fromkeys(one.reason for one in self.outcome.doubts))
        return tuple(blocked.reason for blocked in self.outcome.blocked) if isinstance(self.outcome, Expanded) else ()


def as_json(report: Report) -> dict[str, object]:
    """Return the report as plain JSON values, with the remedy beside each reason."""
    plain: dict[str, object] = msgspec.json.decode(msgspec.json.encode(report))
    del plain["closes"]  # what is put down beforehand goes nowhere but into the evidence
    plain["overtaken"] = report.overtaken
    plain["remedies"] = {reason.value: REMEDIES[reason] for reason in report.reasons}
    return plain
