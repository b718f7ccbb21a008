"""Resources that use keys, and what their tests share: beside `arm_desk`, a second key and vault, and polling."""

from __future__ import annotations

from typing import Any

from sandbox.arm.keyed import uses
from sandbox.faults import Faults
from sandbox.keyring import KeyVersion
from sandbox.wire import Answer, Json
from tests.sandbox.arm_desk import ENCRYPTION_USER, GROUP, OLD, ONE, SYSTEM, URI, VAULT, Desk, estate

NEWER = "0" * 31 + "3"
FAR = f"{GROUP}/providers/Microsoft.KeyVault/vaults/far-kv"  # in another region, everything else alike
SMALL = f"{URI}/keys/small/{OLD}"  # RSA 2048
OTHER = f"{URI}/keys/other/{OLD}"  # RSA 3072


def key(version: str = "") -> str:
    """Return the URI of cmk1 or of one of its versions."""
    return f"{URI}/keys/cmk1/{version}".rstrip("/")


def body(type_: str, name: str, properties: Json, **more: Any) -> Json:
    """Return a resource with a system-assigned identity that may use the vault's keys."""
    identity = {"type": "SystemAssigned", "principalId": SYSTEM}
    shown = {"provisioningState": "Succeeded", **properties}
    place = {"id": f"{GROUP}/providers/{type_}/{name}", "location": "westeurope"}
    return {**place, "identity": identity, "properties": shown, **more}


def desk(*resources: Json, bits: int = 3072, **more: Any) -> Desk:
    """Return a desk with these resources, cmk1 of so many bits in two versions, other keys, and a vault far away."""
    protected = {"enablePurgeProtection": True, "enableRbacAuthorization": True}
    described = estate({"id": FAR, "location": "eastus", "properties": protected}, *resources, **more)
    described["keys"]["contoso-kv"][0]["size"] = bits
    one = [{"version": OLD, "created": "2026-01-01T00:00:00Z"}]
    described["keys"]["contoso-kv"] += [
        {"name": "other", "versions": one},
        {"name": "small", "size": 2048, "versions": one},
        {"name": "curve", "kty": "EC", "versions": one},
    ]
    described["keys"]["far-kv"] = [{"name": "cmk1", "size": bits, "versions": one}]
    grant = {"scope": FAR, "principalId": SYSTEM, "roleDefinitionId": ENCRYPTION_USER}
    described["roleAssignments"].append(grant)
    described["throttling"] = "off"
    return Desk(described)


def rotate(at: Desk, name: str = "cmk1", version: str = NEWER) -> KeyVersion:
    """Make a new version of a key, as of now."""
    found = at.world.keyring.get("contoso-kv", name)
    assert found is not None
    made = KeyVersion(version, at.world.now(), at.world.now())
    found.versions.append(made)
    return made


def revoke(at: Desk, principal: str = SYSTEM) -> None:
    """Take all grants of a principal away."""
    for one in list(at.world.resources.of_type("Microsoft.Authorization/roleAssignments")):
        if one["properties"]["principalId"] == principal:
            at.world.resources.remove(one["id"])


def grant(at: Desk, principal: str, role: str = ENCRYPTION_USER) -> None:
    """Let a principal use the vault's keys."""
    sent = {"properties": {"principalId": principal, "roleDefinitionId": _role(role)}}
    path = f"{VAULT}/providers/Microsoft.Authorization/roleAssignments/{at.world.new_id()}"
    assert at.call("PUT", path, sent).status == 201


def _role(role: str) -> str:
    return f"/subscriptions/{ONE}/providers/Microsoft.Authorization/roleDefinitions/{role}"


def ended(at: Desk, answer: Answer) -> Json:
    """Wait as the answer's headers say, and return what the operation's status, or its result, says in the end."""
    assert answer.status in {200, 201, 202}, answer.body
    url = answer.headers.get("Azure-AsyncOperation") or answer.headers["Location"]
    while True:
        found = at.call("GET", url)
        if "Retry-After" not in found.headers:
            return found.json()  # type: ignore[no-any-return]  # JSON objects in all tests
        at.later(seconds=float(found.headers["Retry-After"]))


def wrong(at: Desk, method: str, path: str, sent: Json) -> str:
    """Return the code of a refusal, at once (with 400) or at the end of the operation."""
    answer = at.call(method, path, sent)
    if answer.status == 400:
        return str(answer.json()["error"]["code"])
    return str(ended(at, answer).get("error", {}).get("code", ""))


def effective(at: Desk, path: str) -> list[str]:
    """Return the versions in effect of all uses of a resource, as it is now."""
    at.get(path)
    return [one.rpartition("/")[2] for one in uses.in_effect(at.world, path).values()]


def script(at: Desk, **operation: Any) -> None:
    """Decide on the fate of the next long-running operation."""
    faults = Faults(lambda call: "read" if call.method == "GET" else "write")
    faults.put([{"match": {"kind": "write"}, "times": 1, "do": {"operation": operation}}])
    faults.install(at.world)
