"""What an ARM path means: a resource, a collection of resources, or an action on one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

SUBSCRIPTIONS = "Microsoft.Resources/subscriptions"
GROUPS = "Microsoft.Resources/resourceGroups"
TENANTS = "Microsoft.Resources/tenants"
RESOURCES = "Microsoft.Resources/resources"
PROVIDERS = "Microsoft.Resources/providers"
LOCATIONS = "Microsoft.Resources/locations"

# The collections that ARM itself keeps, by the last segment of /subscriptions/{s}/... in lower case.
_OWN = {"resourcegroups": GROUPS, "resources": RESOURCES, "providers": PROVIDERS, "locations": LOCATIONS}


@dataclass(frozen=True)
class Target:
    """A path, taken apart. Ids keep the casing of the path; `type` has the path's casing too."""

    id: str  # without a trailing slash; of a collection: the collection's path
    type: str  # "Microsoft.Storage/storageAccounts"; "" for a path that is none of ARM's
    name: str  # "" for a collection
    scope: str  # what the type hangs on: a resource group, a subscription, another resource, or "" for the tenant
    parent: str  # the id one level up for a child resource, else ""

    @property
    def collection(self) -> bool:
        """Whether the path names no single resource (or an action, when it is POSTed to)."""
        return not self.name

    @property
    def subscription(self) -> str:
        """The subscription's id in lower case, or ""."""
        return subscription_of(self.id)

    @property
    def group(self) -> str:
        """The resource group's name as written, or ""."""
        return group_of(self.id)

    @property
    def namespace(self) -> str:
        """The provider: "Microsoft.Storage"."""
        return self.type.partition("/")[0]

    @property
    def child(self) -> bool:
        """Whether this is a child (or a collection of children) of another resource of the same provider."""
        return bool(self.parent)


def subscription_of(id_: str) -> str:
    """Return the subscription of an id in lower case, or ""."""
    parts = id_.lower().split("/", 3)
    return parts[2] if len(parts) > 2 and parts[1] == "subscriptions" else ""  # noqa: PLR2004


def group_of(id_: str) -> str:
    """Return the resource group's name of an id as written, or ""."""
    parts = id_.split("/", 5)
    return parts[4] if len(parts) > 4 and parts[3].lower() == "resourcegroups" else ""  # noqa: PLR2004


@lru_cache(maxsize=50_000)
def parse(path: str) -> Target:
    """Take a decoded path apart. A path that has no meaning for ARM gives a Target with an empty type."""
    parts = [part for part in path.split("/") if part]  # ARM reads "a//b" as "a/b"; az lock and Custodian write it
    lower = [part.lower() for part in parts]
    marks = [at for at, part in enumerate(lower) if part == "providers" and at % 2 == 0]
    if not marks or marks[-1] + 2 >= len(parts):  # nothing behind the namespace: ARM's own paths
        return _own("/" + "/".join(parts), parts, lower)
    at = marks[-1]
    types, names = parts[at + 2 :: 2], parts[at + 3 :: 2]
    single = len(types) == len(names)
    above = len(parts) - (2 if single else 1)
    return Target(
        id="/" + "/".join(parts),
        type="/".join([parts[at + 1], *types]),
        name=names[-1] if single else "",
        scope="".join("/" + part for part in parts[:at]),
        parent="/" + "/".join(parts[:above]) if len(types) > 1 else "",
    )


def _own(  # noqa: PLR0911  one line for each of ARM's own paths
    path: str, parts: list[str], lower: list[str]
) -> Target:
    def found(type_: str, name: str = "", scope: str = "") -> Target:
        return Target(path, type_, name, scope, "")

    match lower:
        case ["tenants"]:
            return found(TENANTS)
        case ["subscriptions"]:
            return found(SUBSCRIPTIONS)
        case ["subscriptions", _]:
            return found(SUBSCRIPTIONS, parts[1])
        case ["subscriptions", _, "resourcegroups" | "providers" as own, _]:
            return found(_OWN[own], parts[3], f"/{parts[0]}/{parts[1]}")
        case ["subscriptions", _, "resourcegroups", _, "resources"]:
            return found(RESOURCES, "", f"/{'/'.join(parts[:4])}")
        case ["subscriptions", _, own] if own in _OWN:
            return found(_OWN[own], "", f"/{parts[0]}/{parts[1]}")
        case ["providers"] | ["providers", _]:
            return found(PROVIDERS, "".join(parts[1:]))
        case _:
            return found("")


def action(target: Target) -> tuple[Target, str]:
    """Split the target of a POST into the resource it acts on and the action's name ("" when there is none)."""
    if target.name:
        return target, ""
    above, _, verb = target.id.rpartition("/")
    return parse(above), verb
