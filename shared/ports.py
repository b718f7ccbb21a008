"""What the use cases need of the world. Wire JSON in, wire JSON out; errors as in shared/errors.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from shared.domain.evidence_query import Page as EvidencePage
from shared.domain.evidence_query import Query as EvidenceQuery
from shared.domain.keys import KeyHistory, KeyId, Material
from shared.domain.life import RotationPolicy
from shared.domain.new_vault import NameHeld
from shared.domain.policy import Policy
from shared.domain.preparation import CreateKey, CreateVault, GrantAccess, HardenVault, RecoverVault
from shared.domain.report import Report
from shared.domain.resource import Address, Json, Request
from shared.domain.revocation import TakePermissions, TakeRole
from shared.domain.service import ChildList, Service
from shared.domain.vault import Grant, Vault
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


class Reply(Struct, frozen=True):
    """What Azure answered to a write.

    `operation` is where to ask whether it has ended, "" when it has. `after` is what Azure asks to wait before that.
    `remaining` is how many more writes Azure says it takes for now, if it says so.
    """

    status: int
    body: Json
    operation: str = ""
    after: timedelta | None = None
    remaining: int | None = None


class Progress(Struct, frozen=True):
    """How a long-running operation stands. One that failed is raised instead."""

    ended: bool
    after: timedelta | None = None


class Resources(Protocol):
    """Azure resources, one at a time, as they are now."""

    async def get(self, service: Service, address: Address) -> Json | None:
        """Return the body, or None when there is no such resource."""
        ...

    async def send(self, request: Request) -> Reply:
        """Carry out a write. Raises Refusal, TryLater or NotThere."""
        ...

    async def operation(self, url: str) -> Progress:
        """Ask how an operation stands, wherever Azure said to ask. Raises Refusal with the reason why it failed,
        TryLater when nobody knows, NotThere when Azure has forgotten it.
        """
        ...

    def children(self, parent: Address, what: ChildList, service: Service) -> AsyncIterator[Json]:
        """Yield the bodies of a collection below a resource. Raises NotThere when the parent is gone."""
        ...


class Page(Struct, frozen=True):
    """Candidates from the index, and where to go on. Bodies may be minutes old."""

    rows: tuple[Json, ...]
    cursor: str | None


class Finder(Protocol):
    """Azure's own index of resources: complete, and a little behind."""

    async def page(self, types: frozenset[str], cursor: str | None) -> Page:
        """Return a page of resources of these types with id, type, location, identity and properties."""
        ...

    async def look(self) -> None:
        """Try the index by one small read. Raises Refusal, TryLater."""
        ...

    async def with_identity(self, identity: str) -> tuple[Json, ...]:
        """Return the resources of any type that have this user-assigned identity, as `page` does. Raises AppError."""
        ...

    async def managed_groups(self) -> frozenset[str]:
        """Return the folded ids of resource groups that other resources own. Minutes old at most."""
        ...

    async def group_chains(self) -> Mapping[str, tuple[str, ...]]:
        """Return for each readable subscription (folded) its management groups, from the nearest to the root."""
        ...

    async def members(self, management_group: str) -> frozenset[str]:
        """Return the folded ids of all subscriptions below a management group. Raises NotThere, Refusal, TryLater."""
        ...


class VaultSite(Struct, frozen=True):
    """A vault that the app may talk to. `id` is "" when only the settings know it."""

    host: str
    id: str = ""


class Vaults(Protocol):
    """Which vaults are ours to talk to."""

    async def by_host(self, host: str) -> VaultSite | None:
        """Return the vault of that host if the settings or the inventory know it, else None."""
        ...

    async def by_id(self, vault_id: str) -> VaultSite | None:
        """Return the vault of that ARM id if the inventory knows it, else None."""
        ...

    async def settings(self, host: str) -> Vault | None:
        """Return a vault as Azure Resource Manager shows it now; None: it is not shown. Raises Refusal, TryLater."""
        ...

    async def deleted(self, host: str, vault_id: str = "") -> str:
        """Return the id of the deleted vault of that host, "" if none can be recovered in a readable subscription (the
        one of `vault_id`, if given). Up to a minute old. Raises TryLater.
        """
        ...

    async def first(self) -> VaultSite | None:
        """Return any vault that is ours to talk to, the same each time, or None."""
        ...

    async def found(self) -> tuple[VaultSite, ...]:
        """Return all vaults that the inventory knows; not each was confirmed."""
        ...

    async def id_of(self, host: str) -> str:
        """Return the ARM id of the vault of that host, "" when the inventory does not know it."""
        ...

    async def at(self, vault_id: str) -> Vault | None:
        """Return the vault that the policy says is there, and know it from then on; None: it is not there."""
        ...

    async def held(self, vault_id: str, location: str) -> NameHeld:
        """Return who holds the name that a vault would have. Raises AppError."""
        ...


class KeyPage(Struct, frozen=True):
    """Keys of a vault as a list shows them, and where to go on; "": that was all."""

    keys: list[Json]
    following: str = ""


class VaultFacts(Protocol):
    """Vaults and their keys as Azure Resource Manager shows them. All raise Refusal and TryLater."""

    async def body(self, vault: str) -> Json | None:
        """Return a vault's body, or None when there is no such vault."""
        ...

    async def settings(self, vault: str) -> list[Json]:
        """Return a vault's diagnostic settings."""
        ...

    async def keys(self, vault: str, cursor: str) -> KeyPage:
        """Return one page of a vault's keys."""
        ...

    async def key(self, vault: str, name: str) -> Json | None:
        """Return a key with its newest version and its rotation policy, or None when there is no such key."""
        ...


class Keys(Protocol):
    """Keys as their vaults hold them. Callers ask Vaults first."""

    async def history(self, key: KeyId, *, not_older_than: datetime) -> KeyHistory:
        """Return the key's versions as of `not_older_than` or later. Raises NotThere, Refusal, TryLater."""
        ...

    async def material(self, key: KeyId, version: str) -> Material:
        """Return what a version is made of."""
        ...

    async def new_version(self, key: KeyId, *, if_latest_is: str) -> str:
        """Make a new version by the vault's own rotation and return its name. Raises Refusal (KEY_MOVED_ON)."""
        ...

    async def is_deleted(self, key: KeyId) -> bool:
        """Return whether a key of that name was deleted and can come back. Raises Refusal, TryLater."""
        ...

    async def recover(self, key: KeyId) -> None:
        """Take a deleted key back. Raises AppError."""
        ...

    async def rotation_policy(self, key: KeyId) -> RotationPolicy:
        """Return what the vault does with the key by itself. Raises NotThere, Refusal, TryLater."""
        ...

    async def look(self, host: str) -> None:
        """Try a vault by one small read. Raises Refusal, TryLater."""
        ...


class Principal(Struct, frozen=True):
    """Whom an identity acts as, and in which tenant ("" if that is not said)."""

    id: str
    tenant: str = ""


class Grants(Protocol):
    """Who holds which roles on vaults."""

    async def held(self, vault: str, principal: str) -> tuple[Grant, ...]:
        """Return the roles that a principal holds at, above and below a vault. Raises AppError."""
        ...

    async def assigned(self, vault: str, principal: str) -> tuple[Grant, ...]:
        """Return the same and those with a condition, of which `held` says nothing. Raises AppError."""
        ...

    async def take_away(self, step: TakeRole) -> None:
        """Delete a role assignment; that it is gone is no error. Raises AppError."""
        ...

    async def principal(self, identity: str) -> Principal | None:
        """Return whom a user-assigned identity acts as, or None when there is no such identity. Raises AppError."""
        ...

    async def give(self, step: GrantAccess) -> None:
        """Give a principal a role; that it holds it already is no error. Raises AppError."""
        ...


class Subscriptions(Protocol):
    """What is asked of subscriptions themselves."""

    async def tenant(self, subscription: str) -> str:
        """Return the tenant that a subscription belongs to. Raises AppError."""
        ...

    async def has(self, subscription: str, provider: str) -> bool:
        """Return whether a resource provider is registered, an hour old at most; where that may not be read, that it
        is. Raises TryLater.
        """
        ...


class VaultChanges(Protocol):
    """What is changed on vaults. Each is the same when it is done twice. All raise AppError."""

    async def create(self, step: CreateVault) -> None:
        """Make a vault."""
        ...

    async def recover(self, step: RecoverVault) -> None:
        """Take a deleted vault back."""
        ...

    async def harden(self, step: HardenVault) -> None:
        """Turn on soft delete and purge protection."""
        ...

    async def create_key(self, step: CreateKey) -> None:
        """Make a key's first version, with its rotation policy; nothing, when there is such a key."""
        ...

    async def allow(self, step: GrantAccess) -> None:
        """Add permissions by an access policy."""
        ...

    async def disallow(self, step: TakePermissions) -> None:
        """Take key permissions out of an access policy."""
        ...


class WorkQueue(Protocol):
    """The queue of work items."""

    async def put(self, item: WorkItem, *, visible_at: datetime | None = None) -> None:
        """Put one item, to be seen at `visible_at` or at once."""
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


class Ports(Struct, frozen=True):
    """All ports together, as use cases are handed them."""

    clock: Clock
    resources: Resources
    finder: Finder
    vaults: Vaults
    keys: Keys
    vault_facts: VaultFacts
    vault_changes: VaultChanges
    subscriptions: Subscriptions
    grants: Grants
    queue: WorkQueue
    journal: Journal
    switch: WriteSwitch
    policies: Policies
    turns: Turns
    myself: Myself
    evidence: Evidence
