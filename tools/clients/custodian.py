"""What Cloud Custodian is asked to find and to change; see policies.yaml."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

from tools.clients.azure import KEY, OLD, PINNED, PLAIN, VAULT, VAULTS, WHO, Azure, account_id
from tools.clients.looks import expect, key_has, pinned, stored
from tools.clients.steps import Client, Done, Look, Step

SERVICE_PRINCIPAL: Final = {"AZURE_CLIENT_ID": WHO, "AZURE_CLIENT_SECRET": "any"}
MANAGED_IDENTITY: Final = {"AZURE_USE_MSI": "true"}
_FILE: Final = "policies.yaml"
_OTHER: Final = "cmk-policies"  # the key of the vault kv-policies


def prepare(client: Client) -> None:
    """Put the policies where the client runs."""
    client.home.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name(_FILE), client.home / _FILE)


def steps(home: Path) -> tuple[Step, ...]:
    """Return a step for each policy; the resources it finds are read from the client's home."""

    def policy(name: str, *found: str, looks: tuple[Look, ...] = ()) -> Step:
        return Step(command(name), (_found(home, name, found), *looks))

    return (
        policy("accounts", PINNED, PLAIN),
        policy("accounts-pinned-to-the-old-version", PINNED),
        policy("accounts-on-the-platform-key", PLAIN),
        policy("accounts-without-soft-delete", PINNED, PLAIN),
        policy("accounts-with-a-lock"),
        policy(
            "accounts-tagged",
            PINNED,
            looks=(
                stored(account_id(PINNED), "tags", {"team": "ledger", "seen": "custodian"}),
                pinned(PINNED, OLD),
            ),
        ),
        policy("vaults-with-purge-protection", VAULT, "kv-policies"),
        policy("keys", KEY, _OTHER),
        policy("keys-in-hardware", _OTHER),
        policy("keys-of-one-vault", KEY),
        policy("keys-without-rotation-policy", KEY, _OTHER),
        policy("keys-older-than-a-month", KEY, _OTHER),
        policy("keys-tagged", KEY, looks=(key_has(KEY, 2, tags={"seen": "custodian"}, enabled=True),)),
        policy("accounts-by-resource-list", PINNED, PLAIN),
        policy("cosmos-with-a-key", "cosmos-clients"),
        policy("vaults-with-access-policies", "kv-policies"),
        policy(
            "vaults-given-a-policy",
            "kv-policies",
            looks=(
                stored(f"{VAULTS}/kv-policies", "properties.accessPolicies.1.permissions.keys", ["get"]),
                stored(f"{VAULTS}/kv-policies", "properties.accessPolicies.0.permissions.keys.2", "unwrapKey"),
            ),
        ),
        policy(
            "accounts-closed",
            PINNED,
            looks=(stored(account_id(PINNED), "properties.networkAcls.defaultAction", "Deny"), pinned(PINNED, OLD)),
        ),
        policy("accounts-locked", PLAIN),
    )


def command(name: str) -> tuple[str, ...]:
    """Return the command that runs one policy."""
    return ("custodian", "run", "--cache-period", "0", "-s", "out", "-p", name, _FILE)


def _found(home: Path, name: str, wanted: tuple[str, ...]) -> Look:
    def look(_: Done, __: Azure) -> None:
        rows = json.loads((home / "out" / name / "resources.json").read_text("utf-8"))
        expect("found", sorted(str(row["id"]).rpartition("/")[2] for row in rows), sorted(wanted))

    return look
