"""What an Azure service is to this app: facts, and two pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum
from types import MappingProxyType

from msgspec import Struct

from shared.domain.acting import Acting
from shared.domain.jsonpath import lookup
from shared.domain.keys import KeyRules
from shared.domain.reasons import Reason
from shared.domain.resource import Audience, Edit, Json, KeyUse, Request
from shared.domain.vault import WRAPPING, Access


class Follow(Enum):
    """How a resource of this service says that new versions shall be taken up by themselves."""

    NEVER = "never"
    WITHOUT_VERSION = "by leaving the version out"
    BY_FLAG = "by a switch of its own, the version named all the same"
    ALWAYS = "always: it knows no other way"


class Verb(Enum):
    """What may be wished of a key use. Whether a service can do it is among its traits."""

    REPOINT = "re-point"  # to another version of the key that it uses
    ENABLE = "enable"  # a customer-managed key where there is none
    SWITCH_KEY = "switch key"  # to another key of the same vault
    SWITCH_VAULT = "switch vault"  # to a key of another vault
    FOLLOW = "follow"  # from a named version to taking up new ones by itself
    PIN = "pin"  # the other way round
    REVERT = "revert"  # back to the platform's key


class Can(Enum):
    """Whether a service can do it. What it cannot has a reason of its own instead."""

    YES = "yes"
    UNVERIFIED = "unverified"  # no primary source settles it: only where a rule says `may: unproven`


class May(Enum):
    """What a rule may allow beyond the harmless."""

    UNPROVEN = "unproven"  # writes that only documentation stands behind
    PUT = "put"  # sending a resource's whole body, since its service knows no smaller change
    IRREVERSIBLE = "irreversible"  # steps that Azure never takes back
    RECREATE = "recreate"  # deleting a resource and making it anew
    HOP = "hop"  # moving to a temporary key and back, where new versions are not taken up otherwise
    CREATE_KEY = "create-key"  # making the key that the rule names
    GRANT = "grant"  # letting a resource's identity use that key
    HARDEN = "harden"  # turning on soft delete and purge protection of its vault
    CREATE_VAULT = "create-vault"  # making the vault that the rule names
    RECOVER = "recover"  # taking back a deleted vault or key that holds the name
    REGISTER_PROVIDER = "register-provider"  # letting subscriptions know the resource providers that this takes
    REVOKE = "revoke"  # taking away, on a caller's confirmed wish, what lets a resource's identity use its keys


class Proven(Enum):
    """What stands behind a service's facts."""

    DOCUMENTED = "documented"
    RECORDED = "recorded traffic"
    LIVE = "live"


class Settled(Enum):
    """Whether a resource can take a change now."""

    READY = "ready"
    BUSY = "busy"
    FAILED = "failed"


class Rate(Struct, frozen=True):
    """How fast Azure lets one subscription go: so many at once, then so many a second."""

    burst: int
    per_second: float


class Application(Struct, frozen=True):
    """One of Azure's own applications. Its object id differs from tenant to tenant."""

    name: str
    id: str


class Traits(Struct, frozen=True):
    """All that plans, documentation and infrastructure may ask of a service."""

    follow: Follow
    reports_effective: bool
    accepts: KeyRules
    picks_up_within: timedelta | None  # how long a follower may take; None: it never follows
    keep_old_for: timedelta | None  # how long the old version must stay usable after a move; None: see `afterwards`
    pace: Rate  # for one write and the reads around it, in one subscription
    actions: tuple[str, ...]  # what the app's identity must be allowed
    proven: Proven
    sources: tuple[str, ...]
    can: Mapping[Verb, Can | Reason] = MappingProxyType({Verb.REPOINT: Can.YES})  # a verb that is absent: unverified
    needs: frozenset[May] = frozenset()  # what any write takes, besides `unproven` where `proven` says so
    irreversible: frozenset[Verb] = frozenset()  # verbs that Azure never takes back
    access: Access = WRAPPING  # what a resource's identity needs of the vault
    acts: Acting = Acting()  # as whom its resources reach their key
    applications: tuple[Application, ...] = ()  # of Azure's own, those that need the same, as the notes say
    same_region: bool = False  # it takes only keys of its own region
    notes: tuple[str, ...] = ()  # for people: contradictions between sources, with their dates; what to do by hand
    elsewhere: Reason | None = None  # said to every wish: the key is not named here, but where this says
    keeps_access_for: timedelta | None = None  # how long it goes on at most once its grant is gone; None: unpublished
    afterwards: str = ""  # what people have to do after every move; until then the old version stays in use

    def ability(self, verb: Verb) -> Can | Reason:
        """Return whether the service can do this."""
        return self.can.get(verb, Can.UNVERIFIED)

    def permissions(self, verb: Verb) -> frozenset[May]:
        """Return what a rule must allow for this write, given that the service can do it."""
        unproven = self.proven is Proven.DOCUMENTED or self.ability(verb) is Can.UNVERIFIED
        needed = {May.UNPROVEN} if unproven else set()
        return self.needs | needed | ({May.IRREVERSIBLE} if verb in self.irreversible else set())


class ChildList(Struct, frozen=True):
    """A collection below a resource whose members hold keys of their own and that Resource Graph does not know."""

    type: str  # the children's ARM type
    collection: str  # the last part of the list's path
    pace: Rate  # for one list, in one subscription
    audience: Audience = Audience.ARM


def by_provisioning_state(body: Json) -> Settled:
    """Read `properties.provisioningState`; a body without one is ready."""
    state = str(lookup(body, "properties", "provisioningState") or "").lower()
    if state in {"", "succeeded"}:
        return Settled.READY
    return Settled.FAILED if state in {"failed", "canceled"} else Settled.BUSY


def nothing_withheld(_body: Json) -> str:
    """Say that a body can be sent back as it was read."""
    return ""


def nothing_depends(_body: Json) -> tuple[str, ...]:
    """Say that a body names no resources that would be brought under keys along with it."""
    return ()


class Naming(Struct, frozen=True):
    """A list below a resource whose members name other resources: the last parts of its path, and what reads one."""

    path: str
    names: Callable[[Json], tuple[str, ...]]


def names_nobody(_body: Json) -> tuple[Naming, ...]:
    """Say that no list below a resource names others."""
    return ()


def nothing_unfinished(_body: Json) -> str:
    """Say that nothing that an earlier change left to people stands in the way of the next."""
    return ""


def nothing_lacking(_body: Json) -> str:
    """Say that nothing a body shows keeps a resource from a first key."""
    return ""


def by_itself(_body: Json) -> tuple[str, ...]:
    """Say that a resource uses no key through another one."""
    return ()


def by_kind(body: Json) -> str:
    """Return the resource's kind."""
    return str(lookup(body, "kind") or "")


class Service(Struct, frozen=True):
    """One ARM type: its facts, how its keys are read out of a body, and which requests change them.

    `read` takes a body as GET returns it; it raises BadKeyUrl when the body names a key in a form that cannot be read
    (better loud than a user missed), and nothing else. `write` takes the body and all the edits at once, and returns
    requests that send the least, to be carried out in order, each after the one before has ended; what it does not
    know in the body survives. `kinds` holds the traits of those kinds (folded) that differ from the rest; `kind_of`
    tells the kind where what matters is not what Azure calls so. `slots` holds the traits of each slot where they
    differ from slot to slot. `withheld` names the first secret that a body lacks and without which it cannot be sent.
    `dependents` returns the ids of resources that come into being with this one and have keys of their own, whatever
    their type; `naming` the lists below it that name more; `through` those whose keys it uses besides, or instead of,
    the ones that it names. `unfinished` tells what people have left to do for the change before, and without which the
    next is not made. `incapable` tells what of a resource, such as its tier, keeps it from a first key, whatever is
    done for it.
    """

    type: str
    api_version: str
    traits: Traits
    read: Callable[[Json], tuple[KeyUse, ...]]
    write: Callable[[Json, tuple[Edit, ...]], tuple[Request, ...]]
    children: tuple[ChildList, ...] = ()
    in_graph: bool = True
    only_counted: bool = False  # it names no key: sweeps look at what the index shows, and nothing else looks for it
    settled: Callable[[Json], Settled] = by_provisioning_state
    kinds: Mapping[str, Traits] = MappingProxyType({})
    kind_of: Callable[[Json], str] = by_kind
    slots: Mapping[str, Traits] = MappingProxyType({})
    withheld: Callable[[Json], str] = nothing_withheld
    unfinished: Callable[[Json], str] = nothing_unfinished
    incapable: Callable[[Json], str] = nothing_lacking
    through: Callable[[Json], tuple[str, ...]] = by_itself
    audience: Audience = Audience.ARM  # where it is read
    dependents: Callable[[Json], tuple[str, ...]] = nothing_depends
    naming: Callable[[Json], tuple[Naming, ...]] = names_nobody
    main_slot: str = ""  # the slot that a first key goes into; "" where a resource cannot begin to use one

    @property
    def brings_others(self) -> bool:
        """Return whether a resource of this service may name others that are looked at with it."""
        return self.dependents is not nothing_depends or self.naming is not names_nobody

    def traits_of(self, body: Json, slot: str = "") -> Traits:
        """Return the traits of a resource of this service by its kind, or those of one of its slots."""
        return self.slots.get(slot) or self.kinds.get(self.kind_of(body).lower(), self.traits)
