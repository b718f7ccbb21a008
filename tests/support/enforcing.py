"""Estates on which there is something to enforce, and what must be so when it is done."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from tests.support.azure import account, estate, group, vault

KEY = "https://kv-main.vault.azure.net/keys/cmk"
UAI = f"{group()}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-cmk"
OTHER_UAI = f"{group()}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-app"
ALL = "may: [create-key, grant, harden, irreversible]"
CREATE = "createKey: {rotateAfterDays: 90, expiresAfterDays: 180, tags: {made: by-rule}}"
_numbers = itertools.count()


def plain(name: str = "st1", identity: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return an account on the platform's key, with no identity unless one is given."""
    body = {**account(name, key=""), **more}
    del body["identity"]
    return body if identity is None else {**body, "identity": identity}


def assigned(*ids: str, system: bool = False) -> dict[str, Any]:
    """Return an identity block."""
    kinds = ["SystemAssigned"] * system + ["UserAssigned"] * bool(ids)
    return {"type": ",".join(kinds), "userAssignedIdentities": {id_: {} for id_ in ids}}


def user_assigned(id_: str = UAI) -> dict[str, Any]:
    """Return a user-assigned identity's own body."""
    name = id_.rpartition("/")[2]
    return {
        "id": id_,
        "name": name,
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "location": "westeurope",
        "properties": {"principalId": f"99999999-0000-4000-8000-{sum(name.encode()):012x}"},
    }


def bare_vault(name: str = "kv-main", **properties: Any) -> dict[str, Any]:
    """Return a vault without purge protection."""
    return vault(name, enablePurgeProtection=None, **properties)


def nothing_yet(*resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an estate in which nobody was granted anything and, unless told otherwise, no key was made."""
    return estate(*resources, denied=tuple(one["name"] for one in resources), **{"keys": {}, **more})


def policy(folder: Path, *lines: str, key: str = KEY, encryption: str = "fix") -> dict[str, str]:
    """Write a policy of one rule and return the setting that names it."""
    rule = [f"name: accounts\n    encryption: {encryption}", "rotation: fix", f"key: {key}", *lines]
    path = folder / f"policy-{next(_numbers)}.yaml"
    path.write_text("version: 1\nrules:\n  - " + "\n    ".join(rule) + "\n", encoding="utf-8")
    return {"CMK_POLICY": str(path)}
