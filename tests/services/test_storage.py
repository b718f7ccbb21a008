"""What is particular to the requests that change a storage account."""

from __future__ import annotations

from typing import Any

from shared.domain.keys import KeyId
from shared.domain.resource import Change, Revert
from shared.services.storage import STORAGE_ACCOUNTS
from tests.support.azure import MID, OLD, account

KEY = KeyId("kv-main.vault.azure.net", "cmk")


def sent(body: dict[str, Any], edit: Change | Revert) -> dict[str, Any]:
    (request,) = STORAGE_ACCOUNTS.write(body, (edit,))
    assert request.body is not None
    found: dict[str, Any] = request.body["properties"]["encryption"]
    return found


def test_the_whole_encryption_object_is_sent_as_it_was_read_but_for_the_key() -> None:
    body = account("st1", OLD)
    encryption = body["properties"]["encryption"]
    encryption |= {"identity": {"userAssignedIdentity": "/x"}, "requireInfrastructureEncryption": True, "newer": [1]}
    encryption["keyvaultproperties"]["currentVersionedKeyIdentifier"] = "https://kv-main.vault.azure.net/keys/cmk/x"
    changed = sent(body, Change("encryption", KEY.at(MID), follow=False))
    assert changed.pop("keyvaultproperties") == {
        "keyvaulturi": "https://kv-main.vault.azure.net/",
        "keyname": "cmk",
        "keyversion": MID,
    }
    assert changed.pop("services") == {"blob": {"enabled": True, "keyType": "Account"}}
    assert changed == {
        "keySource": "Microsoft.Keyvault",
        "identity": {"userAssignedIdentity": "/x"},
        "requireInfrastructureEncryption": True,
        "newer": [1],
    }


def test_going_back_names_the_services_that_stay_encrypted() -> None:
    assert sent(account("st1", OLD), Revert("encryption")) == {
        "keySource": "Microsoft.Storage",
        "services": {"blob": {"enabled": True, "keyType": "Account"}},
    }
