"""The estate of a run: a few accounts and scopes, other services now and then, and what must never be touched."""

from __future__ import annotations

import random
from typing import Any

from sandbox.identity import principal_of
from sandbox.world import World
from tests.soak import services
from tests.support.azure import ENCRYPTION_USER, MID, OLD, SUB, account, estate, scope, vault, version

OWN_GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-own"
MANAGED_GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-managed"
OWN_ACCOUNT = "cmkautopilot"
CERTIFICATE = "tls"
NEW = "stnew"
FEDERATED = "88888888-0000-4000-8000-00000000000f"
ENFORCED = 0.25  # of the runs: with `encryption: fix`
OTHERS = 0.5  # of the runs: with other services than storage
KEYS = {
    "kv-main": [
        # 2048 is the one size that all services take.
        {"name": "cmk", "size": 2048, "versions": [version(OLD), version(MID, "2026-03-01T00:00:00Z")]},
        {
            "name": CERTIFICATE,
            "managed": True,
            "versions": [version("d4" * 16), version("e5" * 16, "2026-03-01T00:00:00Z")],
        },
    ]
}


def _moved(body: dict[str, Any], group: str) -> dict[str, Any]:
    return {**body, "id": body["id"].replace(f"/subscriptions/{SUB}/resourceGroups/rg-data", group)}


def _untouchable(dice: random.Random) -> list[dict[str, Any]]:
    """Return one or none of what is left alone: it is behind, and may be written by its owner only."""
    owner = f"/subscriptions/{SUB}/resourceGroups/rg-data/providers/Microsoft.Databricks/workspaces/w"
    managed_group = {"id": MANAGED_GROUP, "type": "Microsoft.Resources/resourceGroups", "managedBy": owner}
    return dice.choice(
        (
            [],
            [account(OWN_ACCOUNT)],
            [_moved(account("stinown"), OWN_GROUP)],
            [managed_group, _moved(account("stmanaged"), MANAGED_GROUP)],
            [{**account("stowned"), "managedBy": owner}],
            [account("stcert", "d4" * 16, key=CERTIFICATE)],
            [_foreign()],
        )
    )


def _foreign() -> dict[str, Any]:
    """Return an account whose key lies in another tenant, reached by an application that both know."""
    body = account("stforeign")
    body["properties"]["encryption"]["identity"] = {"federatedIdentityClientId": FEDERATED}
    return body


def drawn(dice: random.Random) -> tuple[dict[str, Any], list[dict[str, Any]], bool]:
    """Return an estate of three to a dozen resources, the grants that come late, and whether who is on the platform's
    key shall come under a key of ours.
    """
    bodies: list[dict[str, Any]] = [vault()]
    for number in range(dice.choice((1, 2, 2, 3))):
        key = dice.choice(("cmk", "cmk", "cmk", ""))
        bodies.append(account(f"st{number}", dice.choice((OLD, MID, OLD, "")) if key else "", key=key))
        bodies += [
            scope(f"st{number}", f"scope{child}", dice.choice((OLD, MID, ""))) for child in range(dice.randint(0, 2))
        ]
    bodies += _untouchable(dice)
    enforces = dice.random() < ENFORCED
    if enforces:
        bodies.append(services.IDENTITY)
        bodies += [_bare(f"{NEW}{number}", dice) for number in range(dice.choice((1, 1, 2)))]
    searched: dict[str, Any] = {}
    if dice.random() < OTHERS:
        bodies += [] if enforces else [services.IDENTITY]
        for number in range(dice.choice((2, 2, 3))):
            several, objects = services.drawn(dice, number, (OLD, OLD, MID))
            bodies += several
            searched |= objects
    seed = dice.randrange(2**31)
    operations = dice.choice((0.05, 1.0, 1.0))
    found = estate(*bodies, keys=KEYS, graphLag=dice.choice((0, 0, 30, 240)), seed=seed, operations=operations)
    found["search"] = searched
    for body in found["resources"]:
        if f"/{NEW}" in str(body["id"]) and "identity" not in body and dice.random() < 0.5:
            body["identity"] = services.ASSIGNED  # for something else, and it has to stay
    grants: list[dict[str, Any]] = [*found["roleAssignments"], *_of_applications(seed)]
    late = [one for one in grants if dice.random() < 0.15]
    found["roleAssignments"] = [one for one in grants if one not in late]
    return found, late, enforces


def _bare(name: str, dice: random.Random) -> dict[str, Any]:
    """Return an account on the platform's key, with an identity of its own or without."""
    body = account(name, key="")
    if dice.random() < 0.5:
        del body["identity"]
    return body


def _of_applications(seed: int) -> list[dict[str, Any]]:
    """Return the grants of what reaches the key as itself; their object ids follow from the seed."""
    world = World(seed=seed)
    applications = (principal_of(world, one) for one in (services.APPLICATION, FEDERATED))
    return [grant_of(vault()["id"], one) for one in applications]


def is_untouchable(id_: str) -> bool:
    """Return whether nobody but its owner may change this resource."""
    folded = id_.lower()
    fenced = folded.startswith((f"{OWN_GROUP.lower()}/", f"{MANAGED_GROUP.lower()}/"))
    return fenced or folded.split("/")[8:9] in ([OWN_ACCOUNT], ["stowned"], ["stcert"], ["stforeign"])


def grant_of(scope_id: str, principal: str) -> dict[str, Any]:
    """Return what lets a principal use the keys of a vault."""
    return {"scope": scope_id, "principalId": principal, "roleDefinitionId": ENCRYPTION_USER}
