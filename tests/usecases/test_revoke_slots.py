"""A revocation of one of several keys: a grant that is for the others too takes them along, and that is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.azure import MID, Azure, estate, on_azure, vault, with_two_versions
from tests.support.moving import resource
from tests.support.revoking import allowed, granted, own, wished

VAULT = str(vault()["id"])


def namespace() -> dict[str, Any]:
    """Return a namespace with a key in each of two slots, both reached by its own identity."""
    listed = [
        {"keyName": name, "keyVaultUri": "https://kv-main.vault.azure.net", "keyVersion": MID}
        for name in ("one", "two")
    ]
    encryption = {"keySource": "Microsoft.KeyVault", "keyVaultProperties": listed}
    properties = {"provisioningState": "Succeeded", "encryption": encryption}
    return resource("Microsoft.EventHub/namespaces", "ehn", properties, sku={"name": "Premium"})


@pytest.mark.parametrize(("place", "lost"), [(VAULT, ["one", "two"]), (f"{VAULT}/keys/one", ["one"])])
def test_other_keys_of_the_resource_that_the_same_grant_is_for_are_told_whichever_slot_was_meant(
    tmp_path: Path, place: str, lost: list[str]
) -> None:
    one = namespace()

    async def story(azure: Azure) -> None:
        told = await wished(azure, one, slot="keyVaultProperties[0]", dry_run=True)
        assert [key.rpartition("/")[2] for key in told["unreadable"]["keys"]] == lost

    described = estate(one, keys={"kv-main": [with_two_versions("one"), with_two_versions("two")]}, denied=("ehn",))
    described["roleAssignments"] = [granted(place, own("ehn"))]
    on_azure(described, story, environ=allowed(tmp_path))
