"""What a plan is made from and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct

from shared.domain.keys import KeyHistory, KeyId
from shared.domain.order import Order
from shared.domain.policy import NO_TAGS, Rule
from shared.domain.preparation import CreateVault, Preparation, RecoverVault
from shared.domain.providers import RegisterProvider
from shared.domain.reached import Reach
from shared.domain.reasons import Blocked, Wait, Waited
from shared.domain.resource import Address, Edit, Json, KeyUse
from shared.domain.service import Service
from shared.domain.tug import Tug
from shared.domain.vault import Grant, Vault
from shared.domain.waves import Rollout
from shared.domain.wish import Wish


class Own(Struct, frozen=True):
    """What the app itself stands on; all ids folded. It never changes any of it."""

    resource_groups: frozenset[str] = frozenset()
    storage_accounts: frozenset[str] = frozenset()  # names


class Above(Struct, frozen=True):
    """The resource above a child, as it was read: the child reaches its key by that one's identity.

    `bar`: why it gets no identity for that, "" when it may get one. `rule`: the one that is meant for it, and `tags`:
    its own; they say when it may be written.
    """

    address: Address
    body: Json
    api_version: str
    bar: str = ""
    rule: Rule | None = None
    tags: Mapping[str, str] = NO_TAGS


class Top(Struct, frozen=True):
    """What the resource at the top says that holds for all that lies below it. `owner`: whom it is managed by."""

    tags: Mapping[str, str] = NO_TAGS
    owner: str = ""


class Ground(Struct, frozen=True):
    """What a first key would stand on: which one it is, its vault, and who would reach it.

    `identity`: as Change has it. `principal`: the object id it acts under, "" while the resource lacks a
    system-assigned one. `attached`: the resource has that identity. `grants`: the roles that the principal holds at,
    above and below the vault. `founding`: what brings the vault about, None when it is there. `deleted`: the key was
    deleted and can come back.
    """

    key: KeyId
    vault: Vault
    identity: str | None
    principal: str
    attached: bool
    tenant: str = ""  # of the identity, "" if it does not say
    grants: tuple[Grant, ...] = ()
    location: str = ""  # of the resource, or of the one above it
    founding: CreateVault | RecoverVault | None = None
    deleted: bool = False
    above: Above | None = None
    remark: str = ""  # what people should know of all this
    missing: tuple[RegisterProvider, ...] = ()  # what the subscriptions are to know first
    registering: str = ""  # what is being registered


class Facts(Struct, frozen=True):
    """A resource as Azure returned it, the histories of the keys it uses, and what else the plan may hang on.

    `keys` holds a history for every key of `uses`, or why there is none.
    """

    service: Service
    address: Address
    body: Json
    uses: tuple[KeyUse, ...]
    keys: Mapping[KeyId, KeyHistory | Blocked]
    now: datetime
    rule: Rule | None  # the one that is meant for the resource; None: no rule is
    waited: Waited | None = None
    own: Own = Own()
    wish: Wish | None = None
    ground: Ground | Blocked | None = None  # known when the rule wants a first key
    reach: Mapping[str, Reach] = MappingProxyType({})  # by slot; of the vault of its key, when that is asked
    wished: Mapping[tuple[str, KeyId], Reach] = MappingProxyType({})  # by slot and key; of a key that a wish names
    managed_groups: frozenset[str] = frozenset()  # folded ids of resource groups that other resources own
    order: Order = Order()
    tags: Mapping[str, str] = NO_TAGS  # those of the resource at its top
    owner: str = ""  # whom the resource at its top is managed by
    tug: Tug | None = None
    rollout: Rollout | None = None  # how the waves before this resource's fare, where that counts

    @property
    def by_name(self) -> bool:
        """Return whether a caller named this one resource."""
        return self.wish is not None or self.order.by_name


class SetKeys(Struct, frozen=True, tag=True):
    """Change these slots, all at once. `remark`: what people should know of it all the same."""

    changes: tuple[Edit, ...]
    remark: str = ""


Action = Preparation | SetKeys
Step = Action | Wait | Blocked
