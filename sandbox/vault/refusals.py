"""Key Vault's refusals, with its codes and its wording as seen in public threads."""

from __future__ import annotations

from sandbox.identity import Claims
from sandbox.wire import Answer, Json
from sandbox.wire import Refused as Refusal
from sandbox.world import World


class Refused(Refusal):
    """A refusal with an inner code, which Key Vault puts into error.innererror.code."""

    def __init__(self, status: int, code: str, message: str, inner: str = "") -> None:
        super().__init__(status, code, message)
        self.inner = inner

    def answer(self) -> Answer:
        """Return {"error": {"code", "message", "innererror"?}}."""
        error: Json = {"code": self.code, "message": self.message}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return Answer.of({"error": error}, self.status, self.headers)


def bad(message: str) -> Refused:
    """Return the refusal of a request that makes no sense: 400 BadParameter."""
    return Refused(400, "BadParameter", message)


def key_missing(name: str) -> Refused:
    """Return the refusal when there is no such key or version: 404 KeyNotFound."""
    advice = "If you recently deleted this key you may be able to recover it using the correct recovery command."
    return Refused(404, "KeyNotFound", f"A key with (name/id) {name} was not found in this key vault. {advice}")


def name_is_held(name: str) -> Refused:
    """Return the refusal of a name that a deleted key still holds: 409 Conflict."""
    state = "is currently in a deleted but recoverable state, and its name cannot be reused"
    message = f"Key {name} {state}; in this state, the key can only be recovered or purged."
    return Refused(409, "Conflict", message, "ObjectIsDeletedButRecoverable")


def not_in_state(operation: str, state: str) -> Refused:
    """Return the refusal of a version in that state: 403 with KeyDisabled, KeyExpired or KeyNotYetValid."""
    words = {"disabled": "a disabled key", "expired": "an expired key", "not-yet-valid": "a not yet valid key"}
    inner = {"disabled": "KeyDisabled", "expired": "KeyExpired", "not-yet-valid": "KeyNotYetValid"}
    return Refused(403, "Forbidden", f"Operation {operation} is not allowed on {words[state]}.", inner[state])


def not_permitted(operation: str) -> Refused:
    """Return the refusal of an operation that is not among key_ops: 403 Forbidden."""
    return Refused(403, "Forbidden", f"Operation {operation} is not permitted on this key.", "KeyOperationForbidden")


def managed(operation: str) -> Refused:
    """Return the refusal to change a key that backs a certificate by itself: 403 Forbidden."""
    return Refused(403, "Forbidden", f"Operation {operation} is not allowed on a managed key.")


def closed(inner: str) -> Refused:
    """Return what the network rules say: 403 Forbidden with ForbiddenByConnection or ForbiddenByFirewall."""
    if inner == "ForbiddenByConnection":
        who = "request is not from a trusted service nor via an approved private link"
        message = f"Public network access is disabled and {who}."
    else:
        message = "Client address is not authorized and caller is not a trusted service."
    return Refused(403, "Forbidden", message, inner)


def no_permission(vault: Json, claims: Claims, permission: str) -> Refused:
    """Return what policies or roles say: 403 Forbidden with ForbiddenByPolicy or ForbiddenByRbac."""
    if (vault.get("properties") or {}).get("enableRbacAuthorization"):
        changed = "If role assignments, deny assignments or role definitions were changed recently"
        first = "Caller is not authorized to perform action on resource."
        message = f"{first}\r\n{changed}, please observe propagation time."
        return Refused(403, "Forbidden", message, "ForbiddenByRbac")
    who = f"The user, group or application 'appid={claims.appid};oid={claims.oid}'"
    where = f"key vault '{vault['name']};location={vault.get('location', '')}'"
    message = f"{who} does not have keys {permission} permission on {where}."
    return Refused(403, "Forbidden", message, "ForbiddenByPolicy")


def challenge(world: World, vault: Json, *, token: bool) -> Answer:
    """Answer 401 with the challenge that the SDKs know; `token` tells whether the request carried one."""
    tenant = (vault.get("properties") or {}).get("tenantId") or world.tenant_id
    where = f'Bearer authorization="https://login.windows.net/{tenant}", resource="https://vault.azure.net"'
    message = "[TokenExpired] Error validating token." if token else "Request is missing a Bearer or PoP token."
    headers = {"WWW-Authenticate": where, "x-ms-keyvault-service-version": "1.9.x"}
    return Answer.of({"error": {"code": "Unauthorized", "message": message}}, 401, headers)
