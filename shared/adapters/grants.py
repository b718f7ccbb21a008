"""Role assignments, and whom a user-assigned identity acts as, through Azure Resource Manager."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import datetime, timedelta

from shared.adapters.arm import Arm
from shared.adapters.translate import translated
from shared.domain.jsonpath import lookup, text
from shared.domain.preparation import GrantAccess
from shared.domain.reasons import Reason
from shared.domain.resource import Address, Json, Request, fold, parse_arm_id
from shared.domain.revocation import TakeRole
from shared.domain.vault import Grant
from shared.errors import NotThere, Refusal
from shared.ports import Clock, Principal

_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
_DEFINITIONS = "Microsoft.Authorization/roleDefinitions"
_API = "2022-04-01"
_IDENTITIES_API = "2023-01-31"
_NAMES = uuid.UUID("0f5c5a0e-6f0d-5a43-9f0e-3a2b1c7d9e48")  # any will do, as long as it stays the same
_MOST_ROLES = 500
_ROLE_FOR = timedelta(hours=1)  # built-in roles seldom change


class RoleGrants:
    """Implements ports.Grants."""

    def __init__(self, arm: Arm, clock: Clock) -> None:
        self._arm = arm
        self._clock = clock
        self._roles: dict[str, tuple[Json, datetime]] = {}

    async def held(self, vault: str, principal: str) -> tuple[Grant, ...]:
        """Return the roles that a principal holds at, above and below a vault, by itself or through a group.

        One with a condition is left out: what it allows cannot be told.
        """
        return tuple(one for one in await self.assigned(vault, principal) if not one.conditional)

    async def assigned(self, vault: str, principal: str) -> tuple[Grant, ...]:
        """Return the same and those with a condition."""
        query = f"assignedTo('{principal}')"  # [learn role-based-access-control/role-assignments-list-rest]
        found = await self._arm.every(f"{vault}/providers/{_ASSIGNMENTS}", _API, query)
        return tuple([await self._grant(vault, one) for one in found])

    async def principal(self, identity: str) -> Principal | None:
        """Return whom a user-assigned identity acts as, or None when there is no such identity."""
        try:
            body = await self._arm.read(identity, _IDENTITIES_API)
        except NotThere:
            return None
        properties = lookup(body, "properties")
        return Principal(text(lookup(properties, "principalId")).lower(), text(lookup(properties, "tenantId")).lower())

    async def give(self, step: GrantAccess) -> None:
        """Give a principal a role on a vault. The assignment's name follows from both: a second request changes
        nothing, and one that somebody else made is as good.
        """
        name = uuid.uuid5(_NAMES, f"{fold(step.vault)} {step.principal} {step.role}")
        subscription = parse_arm_id(step.vault).subscription
        # Without its type a principal that was just made is looked up, in vain until it has spread
        # [learn role-based-access-control/troubleshooting, new service principal].
        properties = {
            "roleDefinitionId": f"/subscriptions/{subscription}/providers/{_DEFINITIONS}/{step.role}",
            "principalId": step.principal,
            "principalType": "ServicePrincipal",
        }
        place = Address(_ASSIGNMENTS, f"{step.vault}/providers/{_ASSIGNMENTS}/{name}")
        try:
            await self._arm.send(Request("PUT", place, _API, {"properties": properties}))
        except Refusal as refusal:
            if refusal.reason is not Reason.GRANT_EXISTS:
                raise

    async def take_away(self, step: TakeRole) -> None:
        """Delete one role assignment; that it is gone already is no error."""
        place = Address(_ASSIGNMENTS, step.assignment)
        with suppress(NotThere):
            await self._arm.send(Request("DELETE", place, _API))

    async def _grant(self, vault: str, assignment: Json) -> Grant:
        properties = lookup(assignment, "properties")
        actions, not_actions = await self._allowed(vault, text(lookup(properties, "roleDefinitionId")))
        with translated(vault):
            since = datetime.fromisoformat(text(lookup(properties, "createdOn")))
        id_ = text(lookup(assignment, "id"))
        return Grant(
            id_.partition(f"/providers/{_ASSIGNMENTS}")[0],
            actions,
            not_actions,
            since,
            id_,
            text(lookup(properties, "roleDefinitionId")),
            text(lookup(properties, "principalId")).lower(),
            bool(lookup(properties, "condition")),
        )

    async def _allowed(self, vault: str, role: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the data actions of a role; one that cannot be read allows nothing."""
        id_ = f"/subscriptions/{parse_arm_id(vault).subscription}/providers/{_DEFINITIONS}/{role.rpartition('/')[2]}"
        try:
            body = await self._definition(fold(id_), id_)
        except (NotThere, Refusal):
            return (), ()
        found = lookup(body, "properties", "permissions")
        permissions = found if isinstance(found, list) else []
        return tuple(_folded(permissions, "dataActions")), tuple(_folded(permissions, "notDataActions"))

    async def _definition(self, key: str, id_: str) -> Json:
        known, until = self._roles.get(key, ({}, self._clock.now()))
        if until <= self._clock.now():
            known = await self._arm.read(id_, _API)
            self._roles[key] = known, self._clock.now() + _ROLE_FOR
            while len(self._roles) > _MOST_ROLES:
                del self._roles[next(iter(self._roles))]
        return known


def _folded(permissions: list[Json], name: str) -> list[str]:
    lists = [lookup(one, name) for one in permissions]
    return [str(action).lower() for actions in lists if isinstance(actions, list) for action in actions]
