"""Resource providers of a subscription: which there are, and whether each is registered there."""

from __future__ import annotations

from typing import Final

from sandbox.arm.keyed.table import TABLE
from sandbox.arm.paging import page
from sandbox.arm.request import Request
from sandbox.arm.store import require_place
from sandbox.arm.target import Target, subscription_of
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World

# Providers that clients ask about, their types, and the newest api-version of the SDKs [services.md, versions table].
_KNOWN: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "Microsoft.Authorization": ("2022-04-01", ("locks", "roleAssignments", "roleDefinitions")),
    "Microsoft.Insights": ("2021-05-01-preview", ("diagnosticSettings",)),
    "Microsoft.KeyVault": ("2026-05-15", ("vaults", "vaults/keys", "deletedVaults")),
    "Microsoft.ManagedIdentity": ("2024-11-30", ("userAssignedIdentities",)),
    "Microsoft.Management": ("2020-05-01", ("managementGroups",)),
    "Microsoft.ResourceGraph": ("2022-10-01", ("resources",)),
    "Microsoft.Resources": ("2025-04-01", ("resourceGroups", "subscriptions", "tenants", "resources")),
    "Microsoft.Storage": ("2026-09-01", ("storageAccounts", "storageAccounts/encryptionScopes")),
}
# The others that the sandbox knows types of, as Azure writes their names; their types are in lower case here.
_OTHERS: Final = (
    *("AppConfiguration", "Automation", "Batch", "CognitiveServices", "Compute", "ContainerInstance"),
    *("ContainerRegistry", "ContainerService", "DBforMySQL", "DBforPostgreSQL", "DataFactory", "Databricks"),
    *("DocumentDB", "EventGrid", "EventHub", "Kusto", "MachineLearningServices", "OperationalInsights", "Search"),
    *("ServiceBus", "Sql", "Synapse"),
)


def _types(name: str) -> tuple[str, ...]:
    return tuple(type_.partition("/")[2] for type_ in TABLE if type_.startswith(f"{name.lower()}/"))


_PROVIDERS: Final = {name.lower(): (name, *told) for name, told in _KNOWN.items()} | {
    f"microsoft.{name.lower()}": (f"Microsoft.{name}", "2025-01-01", _types(f"Microsoft.{name}")) for name in _OTHERS
}
TAKES: Final = 90.0  # seconds from a registration that is asked for to one that holds
_MISSING: Final = "MissingSubscriptionRegistration"


def list_(world: World, request: Request) -> Answer:
    """GET of the providers that the sandbox speaks of."""
    require_place(world, request.target)
    return page(request.call, [_shown(world, request, name) for name in _PROVIDERS])


def get(world: World, request: Request) -> Answer:
    """GET of a provider."""
    require_place(world, request.target)
    return Answer.of(_shown(world, request, _named(request)))


def register(world: World, request: Request) -> Answer:
    """POST of a registration: it holds some time later, as each region is registered by itself."""
    require_place(world, request.target)
    name = _named(request)
    missing = _missing(world, request.target.subscription)
    if name in missing and missing[name] is None:
        missing[name] = world.clock.time() + TAKES
    return Answer.of(_shown(world, request, name))


def require(world: World, method: str, target: Target) -> None:
    """Raise Refused 409 when a write asks for a provider that the estate says is not registered."""
    missing = _missing(world, subscription_of(target.id)) if method in {"PUT", "PATCH"} else {}
    if target.namespace.lower() in missing:
        message = f"The subscription is not registered to use namespace '{target.namespace}'."
        raise Refused(409, _MISSING, message)


def _missing(world: World, subscription: str) -> dict[str, float | None]:
    """Return the namespaces that are not registered, at first those that the estate lists as `unregistered`, and when
    each will be, if somebody has asked for that.
    """
    told: dict[str, dict[str, float | None]] = world.memory.setdefault("arm", {}).setdefault("unregistered", {})
    if subscription not in told:
        listed = world.subscriptions.get(subscription, {}).get("unregistered") or ()
        told[subscription] = {str(one).lower(): None for one in listed}
    now = world.clock.time()
    told[subscription] = {name: due for name, due in told[subscription].items() if due is None or now < due}
    return told[subscription]


def require_location(world: World, type_: str, location: str) -> None:
    """Raise Refused 400 when a provider does not offer a type in a location."""
    name, _, one = type_.partition("/")
    offered = _locations(world, name, one)
    if offered and location.replace(" ", "").lower() not in {known.replace(" ", "").lower() for known in offered}:
        message = f"The provided location '{location}' is not available for resource type '{type_}'."
        raise Refused(400, "LocationNotAvailableForResourceType", message)


def _locations(world: World, name: str, type_: str) -> list[str]:
    """Return the locations that the sandbox's memory says a type is offered in; []: nobody says."""
    told: dict[str, list[str]] = world.memory.get("arm", {}).get("locations", {})
    return told.get(f"{name}/{type_}".lower(), [])


def _named(request: Request) -> str:
    name = next((one for one in _PROVIDERS if one in request.target.id.lower().split("/")), None)
    if name is None:
        raise Refused(404, "InvalidResourceNamespace", f"The resource namespace '{request.target.name}' is invalid.")
    return name


def _shown(world: World, request: Request, known: str) -> Json:
    name, version, types = _PROVIDERS[known]
    subscription = request.target.subscription
    missing = _missing(world, subscription)
    state = "Registered"
    if known in missing:
        state = "NotRegistered" if missing[known] is None else "Registering"
    return {
        "id": f"{f'/subscriptions/{subscription}' if subscription else ''}/providers/{name}",
        "namespace": name,
        "registrationPolicy": "RegistrationRequired",
        "registrationState": state,
        "resourceTypes": [
            {"resourceType": one, "locations": _locations(world, name, one), "apiVersions": [version]} for one in types
        ],
    }
