"""What the use cases need of the world. Wire JSON in, wire JSON out; errors as in shared/errors.py."""

from __future__ import annotations

from msgspec import Struct

from shared.ports.beforehand import Beforehand
from shared.ports.resources import Finder, ListPage, Lists, Page, Progress, Reply, Resources, Subscriptions
from shared.ports.running import (
    Clock,
    Evidence,
    Journal,
    Myself,
    Policies,
    Turns,
    WorkQueue,
    WriteSwitch,
    change_reference,
    correlation,
)
from shared.ports.vaults import Grants, KeyPage, Keys, Principal, VaultChanges, VaultFacts, Vaults, VaultSite

__all__ = [
    "Beforehand",
    "Clock",
    "Evidence",
    "Finder",
    "Grants",
    "Journal",
    "KeyPage",
    "Keys",
    "ListPage",
    "Lists",
    "Myself",
    "Page",
    "Policies",
    "Ports",
    "Principal",
    "Progress",
    "Reply",
    "Resources",
    "Subscriptions",
    "Turns",
    "VaultChanges",
    "VaultFacts",
    "VaultSite",
    "Vaults",
    "WorkQueue",
    "WriteSwitch",
    "change_reference",
    "correlation",
]


class Ports(Struct, frozen=True):
    """All ports together, as use cases are handed them."""

    clock: Clock
    resources: Resources
    lists: Lists
    finder: Finder
    vaults: Vaults
    keys: Keys
    vault_facts: VaultFacts
    vault_changes: VaultChanges
    subscriptions: Subscriptions
    grants: Grants
    beforehand: Beforehand
    queue: WorkQueue
    journal: Journal
    switch: WriteSwitch
    policies: Policies
    turns: Turns
    myself: Myself
    evidence: Evidence
