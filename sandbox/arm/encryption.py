"""What storage asks of a customer-managed key before it takes it [services.md 1.1, 1.2, 4]."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.keyring import Key, KeyVersion
from sandbox.vault.access import find_vault, wrap_problem
from sandbox.wire import Json, Refused
from sandbox.world import World

PLATFORM = "microsoft.storage"
CUSTOMER = "microsoft.keyvault"
TYPES = ("RSA", "RSA-HSM")
SIZES = (2048, 3072, 4096)  # bits
NEVER = "1970-01-01T00:00:00Z"  # how storage writes that a version does not expire
READ_ONLY = ("currentVersionedKeyIdentifier", "lastKeyRotationTimestamp", "currentVersionedKeyExpirationTimestamp")

_SUFFIX = ".vault.azure.net"


@dataclass(frozen=True)
class Pointer:
    """Where an account or a scope says its key is. No version: it follows what the vault calls latest."""

    host: str  # lower case
    name: str
    version: str

    def identifier(self, key: Key, version: KeyVersion) -> str:
        """Return the versioned key URI that storage reports for a version in effect."""
        return f"https://{self.host}/keys/{key.name}/{version.version}"


def pointer_of_account(encryption: Json) -> Pointer | None:
    """Return where an account's `encryption` object points, or None for the platform's key or an incomplete pointer."""
    if str(encryption.get("keySource", "")).lower() != CUSTOMER:
        return None
    found = encryption.get("keyvaultproperties") or {}
    host = (urlsplit(str(found.get("keyvaulturi") or "")).hostname or "").lower()
    name = str(found.get("keyname") or "")
    return Pointer(host, name, str(found.get("keyversion") or "")) if host and name else None


def pointer_of_scope(properties: Json) -> Pointer | None:
    """Return where a scope's `properties` point, or None for the platform's key or a URI that names no key."""
    if str(properties.get("source", "")).lower() != CUSTOMER:
        return None
    parts = urlsplit(str((properties.get("keyVaultProperties") or {}).get("keyUri") or ""))
    match [part for part in parts.path.split("/") if part]:
        case [keys, name, *version] if keys.lower() == "keys" and len(version) <= 1 and parts.hostname:
            return Pointer(parts.hostname.lower(), name, "".join(version))
        case _:
            return None


def accepted(key: Key, version: KeyVersion) -> bool:
    """Return whether storage takes keys of this type and size, and may do with them what it needs."""
    wraps = "wrapKey" in version.operations and "unwrapKey" in version.operations
    return wraps and key.kty_of(version) in TYPES and key.bits_of(version) in SIZES


def check(world: World, pointer: Pointer, principal_id: str | None) -> tuple[Key, KeyVersion]:
    """Return the key version that a write makes effective; Refused 400 when storage would not take it.

    A pointer without a version takes what the vault calls latest at this moment.
    """
    if not pointer.host.endswith(_SUFFIX):
        raise Refused(501, "NotInSandbox", f"The sandbox has no keys at {pointer.host}: vaults in {_SUFFIX} only.")
    vault = find_vault(world, pointer.host)
    if vault is None:
        raise Refused(400, "KeyVaultVaultNotFound", f"The key vault 'https://{pointer.host}' could not be found.")
    properties = vault.get("properties") or {}
    if properties.get("enableSoftDelete") is False or not properties.get("enablePurgeProtection"):
        raise Refused(400, "KeyVaultPolicyError", "Keyvault policy recoverable is not set")
    if principal_id is None:
        raise _unauthenticated()
    problem = wrap_problem(world, pointer.host, pointer.name, pointer.version or None, principal_id)
    if problem in {"key-not-found", "deleted"}:
        raise Refused(
            400,
            "KeyVaultEncryptionKeyNotFound",
            f"The key '{pointer.name}' could not be found in key vault 'https://{pointer.host}'.",
        )
    key = world.keyring.get(str(vault["name"]), pointer.name)
    if problem is not None or key is None:
        raise _unauthenticated()
    version = key.find(pointer.version) if pointer.version else key.latest
    if version is None or not accepted(key, version):
        raise _unauthenticated()
    return key, version


def _unauthenticated() -> Refused:
    # One message for a missing permission and for a version that cannot wrap [azure-docs#84096].
    return Refused(
        400, "KeyVaultAuthenticationFailure", "The operation failed because of authentication issue on the keyvault."
    )
