"""What Azure tells of a write before it is made: who may, what forbids it, whether there is room."""

from __future__ import annotations

from typing import Protocol

from shared.domain.beforehand import Denial, Group, Right


class Beforehand(Protocol):
    """Questions that cost a read. What may not be asked is None or (): the write itself tells. All raise TryLater."""

    async def group(self, group: str) -> Group | None:
        """Return a resource group by its id, or None when it is not there; one that may not be read counts as there."""
        ...

    async def vault_locations(self, subscription: str) -> frozenset[str]:
        """Return where a subscription can have vaults, as plain names; empty: nobody says."""
        ...

    async def locks(self, subscription: str) -> tuple[str, ...]:
        """Return the scopes in a subscription, itself among them, that are locked against writing."""
        ...

    async def denials(self, subscription: str) -> tuple[Denial, ...]:
        """Return the deny assignments in a subscription that surely count for the app."""
        ...

    async def rights(self, place: str) -> tuple[Right, ...]:
        """Return what the app's own identity may do at a resource group or a resource; (): nobody says."""
        ...

    async def assignments_left(self, subscription: str) -> int | None:
        """Return how many role assignments a subscription still takes; None: nobody says."""
        ...
