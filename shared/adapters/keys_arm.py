"""Keys as Azure Resource Manager shows them: what a vault's firewall does not guard [docs/sources.md].

Resource Manager passes on what the vault holds and leaves out whether a certificate owns a key. Source: the operations
Keys_Get, Keys_ListVersions and Keys_GetVersion of Microsoft.KeyVault 2026-05-15 (SDK azure-mgmt-keyvault 14.1.0).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.adapters.pages import members_of
from shared.adapters.translate import translated
from shared.adapters.vaults import VaultInventory
from shared.domain.keys import KeyHistory, KeyId, KeyVersion, Material, parse_key_url
from shared.domain.reasons import Reason
from shared.domain.resource import parse_arm_id
from shared.errors import NotThere
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.mgmt.keyvault.aio.operations import KeysOperations
    from azure.mgmt.keyvault.models import Key


class KeysThroughArm:
    """Reads a key's versions and what they are made of. Raises AppError; NotThere when the vault's id is not known."""

    def __init__(self, vaults: VaultInventory, clock: Clock) -> None:
        self._vaults = vaults
        self._clock = clock

    async def history(self, key: KeyId, unasked: Reason) -> KeyHistory:
        """Return the versions of a key; `unasked` says why its vault was not asked."""
        began = self._clock.now()
        keys, group, vault = await self._at(key)
        with translated(key.url):
            versions = tuple(
                [_version(one, key) async for one in members_of(keys.list_versions, group, vault, key.name)]
            )
            shown = await keys.get(group, vault, key.name)
            latest = _named(shown, key)
            if all(one.version != latest for one in versions):
                raise ValueError("a version was made while its versions were being listed")
            return KeyHistory(key, versions, latest, began, unasked=unasked)

    async def material(self, key: KeyId, version: str) -> Material:
        """Return what a version is made of."""
        keys, group, vault = await self._at(key)
        with translated(key.url):
            shown = await keys.get_version(group, vault, key.name, version)
            found = _material(shown) if _named(shown, key) == version else None
            if found is None:
                raise ValueError("a version that does not say what it is made of")
            return found

    async def _at(self, key: KeyId) -> tuple[KeysOperations, str, str]:
        id_ = await self._vaults.id_of(key.host)
        if not id_:
            raise NotThere(Reason.VAULT_NOT_KNOWN, key.host)
        arm = parse_arm_id(id_)
        return self._vaults.client(arm.subscription).keys, arm.group, arm.name


def _named(one: Key, key: KeyId) -> str:
    """Return which version of the key it is. Raises ValueError for one of another key."""
    written = one.properties.key_uri_with_version
    ref = parse_key_url(written) if written else key.at(str(one.name).lower())
    if ref.key != key or ref.version is None:
        raise ValueError("a version of another key")
    return ref.version


def _version(one: Key, key: KeyId) -> KeyVersion:
    said = one.properties.attributes
    if said is None or said.enabled is None:
        raise ValueError("a version without attributes")
    return KeyVersion(
        _named(one, key),
        _moment(said.created) or datetime.min.replace(tzinfo=UTC),
        said.enabled,
        _moment(said.not_before),
        _moment(said.expires),
        _moment(said.updated),
        _material(one),
    )


def _material(one: Key) -> Material | None:
    said = one.properties
    if not said.kty or said.key_ops is None:
        return None
    operations = frozenset(str(getattr(each, "value", each)) for each in said.key_ops)
    return Material(str(getattr(said.kty, "value", said.kty)), int(said.key_size or 0), operations)


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
