"""Keys as a vault holds them. Plain data: the rules live in sandbox/vault/."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ALL_OPERATIONS = ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey")


@dataclass
class KeyVersion:
    """One version: three states follow from enabled, not_before and expires."""

    version: str
    created: datetime
    updated: datetime
    enabled: bool = True
    not_before: datetime | None = None
    expires: datetime | None = None
    operations: tuple[str, ...] = ALL_OPERATIONS
    tags: dict[str, str] = field(default_factory=dict)
    modulus: bytes = b""
    kty: str = ""  # only where it differs from the key's; see Key.kty_of
    bits: int = 0  # the same; see Key.bits_of


@dataclass
class Key:
    """A key and its versions in the order they were made; the last one is what the vault calls latest."""

    vault: str  # the vault's name, lower case
    name: str  # as written at creation; looked up case-insensitively
    kty: str = "RSA"
    bits: int = 3072  # of an RSA key; of an EC key 256, 384 or 521
    managed: bool = False  # True: backs a certificate
    rotation_policy: dict[str, Any] | None = None
    versions: list[KeyVersion] = field(default_factory=list)
    deleted: datetime | None = None

    @property
    def latest(self) -> KeyVersion:
        """What an unversioned GET returns."""
        return self.versions[-1]

    def kty_of(self, version: KeyVersion) -> str:
        """Return a version's type: versions of one key may differ."""
        return version.kty or self.kty

    def bits_of(self, version: KeyVersion) -> int:
        """Return a version's size in bits: versions of one key may differ."""
        bits = version.bits or self.bits
        is_curve = self.kty_of(version).startswith("EC")
        return 256 if is_curve and bits not in {256, 384, 521} else bits

    def find(self, version: str) -> KeyVersion | None:
        """Return the version of that name (any case), or None."""
        wanted = version.lower()
        return next((one for one in self.versions if one.version.lower() == wanted), None)


class Keyring:
    """All keys of all vaults, by (vault name, key name), both compared case-insensitively."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], Key] = {}

    def add(self, key: Key) -> None:
        """Put a key in place of one of the same name."""
        self._keys[key.vault.lower(), key.name.lower()] = key

    def get(self, vault: str, name: str) -> Key | None:
        """Return the key, deleted or not, or None when it was never there."""
        return self._keys.get((vault.lower(), name.lower()))

    def remove(self, vault: str, name: str) -> None:
        """Purge a key."""
        self._keys.pop((vault.lower(), name.lower()), None)

    def __iter__(self) -> Iterator[Key]:
        """Yield every key of every vault, deleted ones too, in order of vault and name."""
        return iter([self._keys[pair] for pair in sorted(self._keys)])

    def of(self, vault: str) -> list[Key]:
        """Return a vault's keys, deleted ones too, in order of name."""
        return [self._keys[pair] for pair in sorted(self._keys) if pair[0] == vault.lower()]
