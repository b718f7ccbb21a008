"""What Azure Resource Manager tells of a write before it is made."""

from __future__ import annotations

from collections.abc import Iterable

from shared.adapters.arm import Arm
from shared.adapters.translate import translated
from shared.domain.beforehand import EVERYBODY, Denial, Group, Right
from shared.domain.jsonpath import lookup, text
from shared.domain.resource import Json
from shared.domain.vault import plain_location
from shared.errors import NotThere, Refusal, TryLater
from shared.ports import Myself

_AUTHORIZATION = "Microsoft.Authorization"
_PERMISSIONS_API = "2022-04-01"  # [learn rest/api/authorization/permissions; dotnet GetAzurePermissionsForResource]
_LOCKS_API = "2016-09-01"  # [learn rest/api/resources/management-locks/list-by-scope]
_DENIALS_API = "2022-04-01"  # [learn rest/api/authorization/deny-assignments]
_METRICS_API = "2019-08-01-preview"  # [azure-rest-api-specs authorization, RoleAssignmentMetrics]
_GROUPS_API = "2021-04-01"
_PROVIDERS_API = "2021-04-01"
_SINGLE = {"user", "serviceprincipal"}  # kinds of principals that are no groups


class ArmBeforehand:
    """Implements ports.Beforehand."""

    def __init__(self, arm: Arm, myself: Myself) -> None:
        self._arm = arm
        self._myself = myself

    async def group(self, group: str) -> Group | None:
        """Return a resource group, or None when it is not there."""
        try:
            body = await self._arm.read(group, _GROUPS_API)
        except NotThere:
            return None
        except Refusal:
            return Group()
        state = text(lookup(body, "properties", "provisioningState"))
        return Group(plain_location(text(lookup(body, "location"))), going=state.lower() == "deleting")

    async def vault_locations(self, subscription: str) -> frozenset[str]:
        """Return where a subscription can have vaults; empty: nobody says."""
        try:
            body = await self._arm.read(f"/subscriptions/{subscription}/providers/Microsoft.KeyVault", _PROVIDERS_API)
        except (NotThere, Refusal):
            return frozenset()
        found = lookup(body, "resourceTypes")
        types = found if isinstance(found, list) else []
        vaults = [one for one in types if text(lookup(one, "resourceType")).lower() == "vaults"]
        return frozenset(plain_location(one) for body in vaults for one in _texts(body, "locations"))

    async def locks(self, subscription: str) -> tuple[str, ...]:
        """Return the scopes in a subscription that are locked against writing."""
        found = await self._listed(f"/subscriptions/{subscription}", "locks", _LOCKS_API)
        read_only = [one for one in found if text(lookup(one, "properties", "level")).lower() == "readonly"]
        return tuple(filter(None, (_scope(one, "locks") for one in read_only)))

    async def denials(self, subscription: str) -> tuple[Denial, ...]:
        """Return the deny assignments in a subscription that surely count for the app: those for everybody and those
        that name it, but not those that except it, or a group: which ones it is in, nobody says here.
        """
        found = await self._listed(f"/subscriptions/{subscription}", "denyAssignments", _DENIALS_API)
        if not found:
            return ()
        me = await self._myself.principals()
        return tuple(_denial(one, entry) for one in found if _counts(one, me) for entry in _permissions(one))

    async def rights(self, place: str) -> tuple[Right, ...]:
        """Return what the app's own identity may do at a place."""
        return tuple(_right(one) for one in await self._listed(place, "permissions", _PERMISSIONS_API))

    async def assignments_left(self, subscription: str) -> int | None:
        """Return how many role assignments a subscription still takes; None: nobody says."""
        path = f"/subscriptions/{subscription}/providers/{_AUTHORIZATION}/roleAssignmentsUsageMetrics"
        try:
            body = await self._arm.told(path, _METRICS_API)
        except (NotThere, Refusal, TryLater):  # a preview of Azure's: nothing is to hang on it
            return None
        left = lookup(body, "roleAssignmentsRemainingCount")
        return left if isinstance(left, int) else None

    async def _listed(self, place: str, what: str, api_version: str) -> list[Json]:
        try:
            return await self._arm.every(f"{place}/providers/{_AUTHORIZATION}/{what}", api_version)
        except (NotThere, Refusal):
            return []


def _scope(body: Json, what: str) -> str:
    return text(lookup(body, "id")).partition(f"/providers/{_AUTHORIZATION}/{what}/")[0]


def _texts(body: Json, name: str) -> Iterable[str]:
    found = lookup(body, name)
    return (one for one in found if isinstance(one, str)) if isinstance(found, list) else ()


def _folded(body: Json, name: str) -> tuple[str, ...]:
    return tuple(one.lower() for one in _texts(body, name))


def _right(body: Json) -> Right:
    tells, tells_data = (isinstance(lookup(body, name), list) for name in ("actions", "dataActions"))
    actions, not_actions = _folded(body, "actions"), _folded(body, "notActions")
    return Right(actions, not_actions, _folded(body, "dataActions"), _folded(body, "notDataActions"), tells_data, tells)


def _permissions(body: Json) -> list[Json]:
    with translated("a deny assignment"):
        found = lookup(body, "properties", "permissions")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _denial(body: Json, entry: Json) -> Denial:
    scope = text(lookup(body, "properties", "scope")) or _scope(body, "denyAssignments")
    here_only = lookup(body, "properties", "doNotApplyToChildScopes") is True
    right = _right(entry)
    return Denial(scope, right.actions, right.not_actions, right.data_actions, right.not_data_actions, here_only)


def _counts(body: Json, me: frozenset[str]) -> bool:
    named = {text(lookup(one, "id")).lower() for one in _who(body, "principals")}
    return (not named or bool(named & {EVERYBODY, *me})) and not any(
        text(lookup(one, "id")).lower() in me or text(lookup(one, "type")).lower() not in _SINGLE
        for one in _who(body, "excludePrincipals")
    )


def _who(body: Json, name: str) -> list[Json]:
    found = lookup(body, "properties", name)
    return found if isinstance(found, list) else []
