"""What the policy expects of vaults and of the keys in them. It is compared and told; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct


class KeysExpected(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What every enabled key of a vault shall be like, as its newest version is."""

    size: Literal[2048, 3072, 4096] | None = None  # at least, of RSA keys
    types: tuple[Literal["RSA", "RSA-HSM", "EC", "EC-HSM"], ...] = ()
    rotation_policy: bool = False  # one that rotates
    expiry: bool = False


class VaultExpected(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a vault shall be like. What is left out, or false, is not asked for; `public_network` is the exception.

    `public_network` false: none at all; `trustedServices`: a firewall that lets only those through.
    """

    purge_protection: bool = False
    rbac: bool = False
    audit_events: bool = False
    public_network: bool | Literal["trustedServices"] = True
    keys: KeysExpected = KeysExpected()


def expected_problems(where: Any, expect: VaultExpected) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a rule for vaults, each with the name of its field."""
    for field in ("types", "kinds"):
        if getattr(where, field, ()):
            yield f"where.{field}", "says nothing of vaults; leave it out"
    if expect == VaultExpected():
        yield "expect", "asks for nothing"
