"""The vault that a rule has made where there is none: what it is like, what it is called, who may have the name."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from shared.domain.vault import Vault

# 3 to 24 letters, digits and hyphens, a letter first, no two hyphens together, none last
# [learn azure-resource-manager/management/resource-name-rules, Microsoft.KeyVault].
_NAME = re.compile(r"(?!.*--)[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]")
RETENTION = 90  # days; the longest, and it can never be changed [services.md 1.10]


class NewVault(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Where a vault is made and what it is like. `subscription` "": the resource's own."""

    resource_group: str
    sku: Literal["standard", "premium"] = "standard"
    subscription: str = ""


class NameHeld(Struct, frozen=True):
    """Who holds a vault's name: a deleted vault with this id, or (`taken`, in Azure's words) somebody else."""

    deleted: str = ""
    taken: str = ""


def fits(name: str) -> bool:
    """Return whether a vault can be called so."""
    return bool(_NAME.fullmatch(name))


def place(new: NewVault, subscription: str, name: str) -> str:
    """Return the id that the vault of a rule has, or would have."""
    home = f"/subscriptions/{new.subscription or subscription}/resourceGroups/{new.resource_group}"
    return f"{home}/providers/Microsoft.KeyVault/vaults/{name}"


def planned(new: NewVault, id_: str, host: str, location: str, tenant: str) -> Vault:
    """Return the vault as it will be: roles decide, and nothing in it can be lost."""
    return Vault(id_, host, location, tenant, rbac=True, recoverable=True, protected=True, premium=new.sku == "premium")
