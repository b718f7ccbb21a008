"""Wrap, unwrap, encrypt, decrypt: a toy that can be undone, for the sandbox holds no private keys.

The value is masked with a stream that only the key version and the seed give. So what one version wraps no other
unwraps; what an SDK has wrapped locally with the public numbers cannot be unwrapped here (400 BadParameter).
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from sandbox.keyring import Key, KeyVersion
from sandbox.vault import refusals
from sandbox.vault.access import state
from sandbox.vault.bundles import base64url, kid
from sandbox.wire import Json
from sandbox.world import World

OPERATIONS = {"wrapkey": "wrapKey", "unwrapkey": "unwrapKey", "encrypt": "encrypt", "decrypt": "decrypt"}
FORWARD = frozenset({"wrapKey", "encrypt"})  # an expired or not yet valid version refuses these only [services.md 1.11]
ALGORITHMS = frozenset({"RSA1_5", "RSA-OAEP", "RSA-OAEP-256"})
MARK = 16  # bytes in front of the masked value that tell whose it is


def carry_out(world: World, host: str, key: Key, version: KeyVersion, operation: str, body: Json) -> Json:
    """Return {"kid", "value"}. Raises Refused 403 by the version's state or key_ops, 400 for a bad body."""
    found = state(version, world.now())
    if found == "disabled" or (found and operation in FORWARD):
        raise refusals.not_in_state(operation, found)
    if operation not in version.operations:
        raise refusals.not_permitted(operation)
    if body.get("alg") not in ALGORITHMS or not key.kty_of(version).startswith("RSA"):
        raise refusals.bad(f"Property alg has the invalid value '{body.get('alg')}'.")
    value = _bytes(body.get("value"))
    mark = hashlib.blake2b(f"{world.seed}: {version.version}".encode(), digest_size=MARK).digest()
    if operation in FORWARD:
        if not value:
            raise refusals.bad("Property value must not be empty.")
        result = mark + _masked(mark, value)
    elif value.startswith(mark):
        result = _masked(mark, value[MARK:])
    else:
        raise refusals.bad("The parameter is incorrect.")
    return {"kid": kid(host, key, version), "value": base64url(result)}


def _masked(mark: bytes, value: bytes) -> bytes:
    stream = hashlib.shake_256(mark).digest(len(value))
    return bytes(left ^ right for left, right in zip(value, stream, strict=True))


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise refusals.bad("Property value is missing.")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise refusals.bad("Property value is not base64url.") from error
