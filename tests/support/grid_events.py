"""Events by hand, in both schemas, for deliveries that no Azure would make by itself."""

from __future__ import annotations

from typing import Any

from tests.support.azure import OLD, SUB, vault
from tests.support.whole_app import CLOUD, GRID

VAULT_ID = str(vault()["id"])
CREATED = "Microsoft.KeyVault.KeyNewVersionCreated"
WRITTEN = "Microsoft.Resources.ResourceWriteSuccess"
SUBSCRIPTION_ID = f"/subscriptions/{SUB}"


def event(
    type_: str, data: Any, *, schema: str = GRID, topic: str = VAULT_ID, subject: str = "cmk", id_: str = "event-1"
) -> dict[str, Any]:
    """Return an event in a schema."""
    if schema == CLOUD:
        parts = {"source": topic, "type": type_, "time": "2026-05-01T08:00:00Z", "specversion": "1.0"}
    else:
        parts = {"topic": topic, "eventType": type_, "eventTime": "2026-05-01T08:00:00Z", "dataVersion": "1"}
        parts |= {"metadataVersion": "1"}
    return {"id": id_, "subject": subject, "data": data, **parts}


def key_event(name: str = "cmk", *, url: str = "", type_: str = CREATED, **more: Any) -> dict[str, Any]:
    """Return an event about a key of kv-main, or about what `url` names."""
    data = {
        "Id": url or f"https://kv-main.vault.azure.net/keys/{name}/{OLD}",
        "VaultName": "kv-main",
        "ObjectType": "Key",
        "ObjectName": name,
        "Version": OLD,
        "NBF": None,
        "EXP": None,
    }
    return event(type_, data, **more)


def resource_event(about: str, type_: str = WRITTEN, **more: Any) -> dict[str, Any]:
    """Return an event about a resource; `data` adds to what it says."""
    data = {"resourceUri": about, "operationName": "x/write", "status": "Succeeded", **more.pop("data", {})}
    return event(type_, data, topic=SUBSCRIPTION_ID, subject=about, **more)


FORGED = {
    "another host": key_event(url="https://evil.example/keys/cmk/1"),
    "a longer host": key_event(url="https://kv-main.vault.azure.net.evil.example/keys/cmk"),
    "a user in the host": key_event(url="https://kv-main.vault.azure.net@evil.example/keys/cmk"),
    "a port": key_event(url="https://kv-main.vault.azure.net:8443/keys/cmk"),
    "plain http": key_event(url="http://kv-main.vault.azure.net/keys/cmk"),
    "another cloud": key_event(url="https://kv-main.vault.azure.cn/keys/cmk"),
    "a vault nobody knows": key_event(
        url="https://kv-evil.vault.azure.net/keys/cmk",
        topic="/subscriptions/66666666-6666-6666-6666-666666666666/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-evil",
    ),
    "a topic that is another vault": key_event(topic=VAULT_ID.replace("kv-main", "kv-evil")),
    "a topic of the same name elsewhere": key_event(
        topic=VAULT_ID.replace(SUB, "66666666-6666-6666-6666-666666666666")
    ),
    "no topic": key_event(topic=""),
    "a way out of the path": key_event(url="https://kv-main.vault.azure.net/keys/../secrets/cmk"),
    "a name that is an address": event(CREATED, {"VaultName": "evil.example/", "ObjectName": "k"}),
    "a name that is a path": event(CREATED, {"VaultName": "kv-main", "ObjectName": "../../secrets/k"}),
}

GARBAGE: dict[str, Any] = {
    "an empty array": [],
    "an empty object": {},
    "no objects": [1, "text", None, True, [[]]],
    "no type": [{"id": "1", "data": {}}],
    "a type that is no text": [{"eventType": 7, "data": {}}],
    "an unknown type": [event("Contoso.Something", {})],
    "no data": [event(CREATED, None)],
    "data that is a list": [event(CREATED, [])],
    "data that is broken JSON": [event(CREATED, '{"Id": ')],
    "data that is a string": [event(CREATED, "{}")],
    "a key's address that is none": [event(CREATED, {"Id": "\u0000\ud83d\ude00 ://", "ObjectType": "Key"})],
    "a secret": [event("Microsoft.KeyVault.SecretNewVersionCreated", {"ObjectType": "Secret"})],
    "a resource without an id": [event(WRITTEN, {"resourceUri": None}, topic=SUBSCRIPTION_ID, subject="")],
    "a resource id that leads out": [resource_event("/subscriptions/a/resourceGroups/../../x/y/z/q/w/e")],
    "a resource id with a query": [resource_event(f"{VAULT_ID}?api-version=1#x")],
    "claims that are text": [resource_event("/subscriptions/x", data={"claims": "not json"})],
    "numbers everywhere": [{"eventType": WRITTEN, "id": 1, "topic": 2, "subject": 3, "data": {"resourceUri": 4}}],
    "a subscription's own handshake": [event("Microsoft.EventGrid.SubscriptionValidationEvent", {})],
    "an id of a megabyte": [key_event(id_="x" * 1_000_000, type_="Microsoft.KeyVault.SecretExpired")],
    "a number that is none": [event(CREATED, {"EXP": float("nan")})],
    "3 MB": [key_event(id_="x" * 3_000_000)],
}
