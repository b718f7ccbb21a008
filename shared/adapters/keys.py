"""Keys in Key Vault, through azure-keyvault-keys; through Azure Resource Manager where a vault's firewall is closed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from azure.core.exceptions import HttpResponseError
from msgspec import Struct
from msgspec.structs import replace

from shared.adapters.connection import Connection
from shared.adapters.guard import StaysAt
from shared.adapters.keys_arm import KeysThroughArm
from shared.adapters.pages import members_of
from shared.adapters.rotation_policy import policy_of
from shared.adapters.translate import translate_vault, translated
from shared.domain.keys import KeyHistory, KeyId, KeyVersion, Material, parse_key_url
from shared.domain.life import RotationPolicy
from shared.domain.reasons import Reason
from shared.errors import AppError, NotThere, Refusal, TryLater
from shared.ports import Clock, WriteSwitch

if TYPE_CHECKING:
    from azure.keyvault.keys import KeyProperties, KeyVaultKey
    from azure.keyvault.keys.aio import KeyClient

_MOST_REMEMBERED = 2_000
_CLOSED_FOR = timedelta(
    minutes=2
)  # a vault that does not answer takes its time over it, and is not asked again so long
_FIREWALL = {"forbiddenbyfirewall", "forbiddenbyconnection"}  # [learn key-vault general/access-behind-firewall]
_LONGEST = 300  # characters of a detail
_K = TypeVar("_K")
_V = TypeVar("_V")


class _Known(Struct):
    material: Material
    updated: datetime | None


class VaultKeys:
    """Implements ports.Keys. Asks each vault for each key once at a time, however many wait for the answer."""

    def __init__(self, connection: Connection, clock: Clock, through_arm: KeysThroughArm) -> None:
        self._connection = connection
        self._clock = clock
        self._through_arm = through_arm
        self._closed: dict[str, tuple[AppError, datetime]] = {}  # by host: why, and until when it is left in peace
        self._plain: dict[KeyId, frozenset[str]] = {}  # versions of keys that no certificate owns, as their vaults said
        self._clients: dict[str, KeyClient] = {}
        self._histories: dict[KeyId, KeyHistory] = {}
        self._locks: dict[KeyId, asyncio.Lock] = {}
        self._materials: dict[tuple[KeyId, str], _Known] = {}

    async def history(self, key: KeyId, *, not_older_than: datetime) -> KeyHistory:
        """Return the versions of a key as of `not_older_than` or later.

        Who waits while another reads gets that reading only if it began late enough.
        """
        async with self._locks.setdefault(key, asyncio.Lock()):
            known = self._histories.get(key)
            if known is None or not not_older_than <= known.read_at <= self._clock.now():  # a clock may be set back
                _trim(self._locks, keep=key)  # first: made-up keys are never read, and must not fill the memory either
                known = await self._read_or_shown(key)
                _remember(self._histories, key, known)
            return known

    async def material(self, key: KeyId, version: str) -> Material:
        """Return what a version is made of. Operations may change, so it is read anew when the version was updated."""
        known = self._materials.get((key, version))
        if known is None:
            _, until = self._closed.get(key.host, (None, self._clock.now()))
            if until > self._clock.now():
                return await self._through_arm.material(key, version)
            known = await self._read_material(key, version)
        return known.material

    async def _read_or_shown(self, key: KeyId) -> KeyHistory:
        """Read from the vault; from Resource Manager if its firewall is closed to us or it does not answer.

        What Resource Manager leaves out is known if the vault said it of the same key before: then its versions are as
        good. It may be behind the vault, which only puts a move off: who uses a version that is not in its list is
        never moved. Raises what the vault said when Resource Manager knows no more.
        """
        error, until = self._closed.get(key.host, (None, self._clock.now()))
        if error is None or until <= self._clock.now():
            try:
                return await self._read(key)
            except (TryLater, Refusal) as said:
                if not _is_closed(said):
                    raise
                error = said
                _remember(self._closed, key.host, (said, self._clock.now() + _CLOSED_FOR))
        try:
            shown = await self._through_arm.history(key, error.reason)
        except AppError as why:
            raise type(error)(error.reason, f"{error.detail}; Resource Manager: {why.detail}"[:_LONGEST]) from why
        same = any(shown.find(version) for version in self._plain.get(key, ()))
        return replace(shown, unasked=None) if same else shown

    async def new_version(self, key: KeyId, *, if_latest_is: str, if_on: WriteSwitch) -> str | None:
        """Let the vault make a new version by the key's own attributes, if its latest still is the one named and
        writing still is on; else None, for looking takes its time.

        Looked at and made under one lock: two wishes in this instance make one version. Two instances can still fall
        into the moment between (docs/limits.md). Raises Refusal (KEY_MOVED_ON).
        """
        async with self._locks.setdefault(key, asyncio.Lock()):
            known = await self._read(key)
            if known.backs_certificate:
                raise Refusal(Reason.KEY_BACKS_CERTIFICATE, key.url)
            if known.latest != if_latest_is:
                raise Refusal(Reason.KEY_MOVED_ON, f"the latest version is {known.latest}")
            if not await if_on.is_on():
                return None
            self._histories.pop(key, None)
            with translated(key.url, translate_vault):
                made = await self._client(key.host).rotate_key(key.name)
                return str(made.properties.version)

    async def is_deleted(self, key: KeyId) -> bool:
        """Return whether a deleted key holds the name."""
        try:
            with translated(key.url, translate_vault):
                await self._client(key.host).get_deleted_key(key.name)
        except NotThere:
            return False
        return True

    async def recover(self, key: KeyId) -> None:
        """Begin to take a deleted key back; the next look shows whether it is there."""
        with translated(key.url, translate_vault):
            await self._client(key.host).recover_deleted_key(key.name)

    async def rotation_policy(self, key: KeyId) -> RotationPolicy:
        """Return what the vault does with the key by itself. It takes getrotationpolicy where access policies decide,
        keyrotationpolicies/read where roles do.
        """
        with translated(key.url, translate_vault):
            return policy_of(await self._client(key.host).get_key_rotation_policy(key.name))

    async def look(self, host: str) -> None:
        """List one key: what whoever may list versions may do."""
        with translated(f"https://{host}", translate_vault):
            async for _ in self._client(host).list_properties_of_keys(max_page_size=1).by_page():
                return

    async def _read(self, key: KeyId) -> KeyHistory:
        began = self._clock.now()
        client = self._client(key.host)
        with translated(key.url, translate_vault):
            listed = [_mine(one, key) async for one in members_of(client.list_properties_of_key_versions, key.name)]
            latest = await self._latest(client, key, listed)
            if not any(_version(one) == latest for one in listed):
                raise ValueError("a version was made while its versions were being listed")
            versions = tuple(self._describe(key, one) for one in listed)
            managed = any(bool(one.managed) for one in listed)
            if not managed:
                _remember(self._plain, key, frozenset(one.version for one in versions))
            return KeyHistory(key, versions, latest, began, managed)

    async def _latest(self, client: KeyClient, key: KeyId, listed: list[KeyProperties]) -> str:
        """Return what the vault calls latest, and keep its material: choosing a version mostly needs just that."""
        try:
            found = await client.get_key(key.name)
        except HttpResponseError as error:
            if error.status_code != 403 or not listed:  # noqa: PLR2004
                raise
            # Versions may be listed but the latest may not be read: it is disabled. Newest by creation then.
            return _version(max(listed, key=lambda one: one.created_on or datetime.min.replace(tzinfo=UTC)))
        latest = _version(_mine(found.properties, key))
        self._keep(key, found)
        return latest

    async def _read_material(self, key: KeyId, version: str) -> _Known:
        with translated(key.url, translate_vault):
            found = await self._client(key.host).get_key(key.name, version)
            if _version(_mine(found.properties, key)) != version:
                raise ValueError("another version than the one that was asked for")
            return self._keep(key, found)

    def _keep(self, key: KeyId, found: KeyVaultKey) -> _Known:
        known = _Known(_material(found), found.properties.updated_on)
        _remember(self._materials, (key, _version(found.properties)), known)
        return known

    def _describe(self, key: KeyId, found: KeyProperties) -> KeyVersion:
        version = _version(found)
        known = self._materials.get((key, version))
        if known is not None and known.updated != found.updated_on:
            del self._materials[key, version]  # its operations may have changed with it
            known = None
        return KeyVersion(
            version,
            found.created_on or datetime.min.replace(tzinfo=UTC),
            bool(found.enabled),
            found.not_before,
            found.expires_on,
            found.updated_on,
            known.material if known else None,
        )

    def _client(self, host: str) -> KeyClient:
        if not host.endswith(self._connection.cloud.vault_suffix):
            raise Refusal(Reason.FOREIGN_HOST, host)
        client = self._clients.get(host)
        if client is None:
            from azure.keyvault.keys.aio import KeyClient  # noqa: PLC0415  costs time at cold start

            options = {**self._connection.options(), "per_call_policies": [StaysAt(host)]}
            client = KeyClient(f"https://{host}", self._connection.credential, **options)
            self._clients[host] = client
        return client


def _is_closed(error: AppError) -> bool:
    """Return whether a vault's firewall is in the way, or the vault does not answer."""
    if isinstance(error, TryLater):
        return error.reason is Reason.VAULT_UNREACHABLE
    inner = getattr(getattr(error.__cause__, "error", None), "innererror", None)
    return isinstance(inner, dict) and str(inner.get("code")).lower() in _FIREWALL


def _mine(found: KeyProperties, key: KeyId) -> KeyProperties:
    """Return what a vault answered if it is about this key: a version of another one must never become a target."""
    if parse_key_url(str(found.id)).key != key:
        raise ValueError("a version of another key")
    return found


def _version(found: KeyProperties) -> str:
    return str(found.version or "").lower()


def _material(found: KeyVaultKey) -> Material:
    kty = str(getattr(found.key_type, "value", found.key_type))
    modulus = getattr(found.key, "n", None) or b""
    operations = frozenset(str(getattr(one, "value", one)) for one in found.key_operations or ())
    return Material(kty, len(modulus.lstrip(b"\0")) * 8, operations)


def _remember(store: dict[_K, _V], key: _K, value: _V) -> None:
    store.pop(key, None)
    store[key] = value
    while len(store) > _MOST_REMEMBERED:
        del store[next(iter(store))]


def _trim(locks: dict[KeyId, asyncio.Lock], keep: KeyId) -> None:
    if len(locks) > _MOST_REMEMBERED:
        for key in [one for one, lock in locks.items() if one != keep and not lock.locked()]:
            del locks[key]
