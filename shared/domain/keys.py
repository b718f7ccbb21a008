"""Keys, their versions, and which version is the newest usable one."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.reasons import Blocked, Reason

WRAP_AND_UNWRAP = frozenset({"wrapKey", "unwrapKey"})
_KEY_URL_PARTS = (3, 4)  # "", "keys", NAME and perhaps VERSION


class BadKeyUrl(ValueError):
    """The text is not a key identifier."""


class KeyId(Struct, frozen=True, order=True):
    """A key, whatever its versions. Host and name in lower case: "v.vault.azure.net", "cmk-storage"."""

    host: str
    name: str

    @property
    def url(self) -> str:
        """Return the versionless key identifier."""
        return f"https://{self.host}/keys/{self.name}"

    def at(self, version: str | None) -> KeyRef:
        """Return a reference to one version of this key, or to the key without a version."""
        return KeyRef(self, version or None)


class KeyRef(Struct, frozen=True):
    """A key as somebody wrote it down. `version` None: written without one, which says nothing about following."""

    key: KeyId
    version: str | None = None

    @property
    def url(self) -> str:
        """Return the key identifier, versioned if the version is known."""
        return f"{self.key.url}/{self.version}" if self.version else self.key.url


def key_ref(vault_uri: str, name: str, version: str | None = None) -> KeyRef:
    """Return the reference made of a vault URI, a key name and perhaps a version, each as Azure writes it.

    Raises BadKeyUrl. Ports other than 443, user names and anything but https are refused.
    """
    return parse_key_url(f"{vault_uri.strip().rstrip('/')}/keys/{name.strip()}/{(version or '').strip()}")


def parse_key_url(url: str) -> KeyRef:
    """Read a key identifier in any of the forms Azure uses: upper case, `:443`, a trailing slash, with or without a
    version. Raises BadKeyUrl.
    """
    try:
        parts = urlsplit(url.strip().rstrip("/"))
        port = parts.port
    except ValueError as error:
        raise BadKeyUrl(f"not a key identifier: {url[:200]!r}") from error
    path = parts.path.split("/")
    host = (parts.hostname or "").lower()
    plain = parts.scheme.lower() == "https" and port in {None, 443} and not parts.query and not parts.fragment
    if not (plain and parts.username is None and _is_host(host)):
        raise BadKeyUrl(f"not a key identifier: {url[:200]!r}")
    if len(path) not in _KEY_URL_PARTS or path[1].lower() != "keys" or not _is_name(path[2]):
        raise BadKeyUrl(f"not a key identifier: {url[:200]!r}")
    version = path[3].lower() if len(path) == max(_KEY_URL_PARTS) else ""
    if version and not _is_name(version):
        raise BadKeyUrl(f"not a key identifier: {url[:200]!r}")
    return KeyRef(KeyId(host, path[2].lower()), version or None)


def is_key_name(name: str) -> bool:
    """Return whether Key Vault would take this as a key's name: 1 to 127 letters, digits and hyphens."""
    return _is_name(name)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 127 and text.isascii() and all(c.isalnum() or c == "-" for c in text)  # noqa: PLR2004


def _is_host(text: str) -> bool:
    return 0 < len(text) <= 253 and text.isascii() and all(c.isalnum() or c in "-." for c in text)  # noqa: PLR2004


class Material(Struct, frozen=True):
    """What a version is made of. `bits` is 0 where a size means nothing (elliptic curves)."""

    kty: str
    bits: int
    operations: frozenset[str]


class State(Enum):
    """What a version may be used for at a moment."""

    USABLE = "usable"
    DISABLED = "disabled"  # refuses everything
    NOT_YET_VALID = "not yet valid"  # unwraps, does not wrap
    EXPIRED = "expired"  # unwraps, does not wrap


class KeyVersion(Struct, frozen=True):
    """One version as the vault describes it. `material` is None until somebody asked for it: lists leave it out."""

    version: str
    created: datetime
    enabled: bool = True
    not_before: datetime | None = None
    expires: datetime | None = None
    updated: datetime | None = None  # when its attributes last changed, such as being enabled
    material: Material | None = None

    def state(self, now: datetime) -> State:
        """Return the version's state at `now`."""
        if not self.enabled:
            return State.DISABLED
        if self.expires is not None and self.expires <= now:
            return State.EXPIRED
        if self.not_before is not None and self.not_before > now:
            return State.NOT_YET_VALID
        return State.USABLE


class KeyHistory(Struct, frozen=True):
    """All versions of a key as the vault listed them at `read_at`. `latest` is what the vault itself calls latest.

    `unasked` is why the vault itself could not be asked and Resource Manager was, which does not say whether a
    certificate owns the key: then nothing is written that rests on it.
    """

    key: KeyId
    versions: tuple[KeyVersion, ...]
    latest: str
    read_at: datetime
    backs_certificate: bool = False
    unasked: Reason | None = None

    def find(self, version: str) -> KeyVersion | None:
        """Return the version of that name, or None."""
        return next((one for one in self.versions if one.version == version), None)

    def age_rank(self, version: KeyVersion) -> tuple[datetime, bool]:
        """Order versions from old to new. `created` has whole seconds: on a tie the vault's latest is the newer."""
        return version.created, version.version == self.latest

    def newest_first(self) -> tuple[KeyVersion, ...]:
        """Return the versions, newest first."""
        return tuple(sorted(self.versions, key=self.age_rank, reverse=True))

    def with_material(self, version: str, material: Material) -> KeyHistory:
        """Return the same history with one version's material filled in."""
        filled = tuple(replace(v, material=material) if v.version == version else v for v in self.versions)
        return replace(self, versions=filled)

    def next_activation(self, now: datetime) -> datetime | None:
        """Return when the first version that is newer than every usable one becomes valid, or None.

        Nothing tells of that moment: Key Vault raises no event when a version's not-before passes.
        """
        moments = []
        for version in self.newest_first():
            if version.state(now) is State.USABLE:
                break
            if version.state(now) is State.NOT_YET_VALID and version.not_before is not None:
                moments.append(version.not_before)
        return min(moments, default=None)


class KeyRules(Struct, frozen=True):
    """What a service takes: (key type, bits) pairs, and the operations the version must allow."""

    types: frozenset[tuple[str, int]]
    operations: frozenset[str] = WRAP_AND_UNWRAP

    def accept(self, material: Material) -> bool:
        """Return whether a version of this material may be used."""
        return (material.kty, material.bits) in self.types and self.operations <= material.operations


RSA_2048_TO_4096 = frozenset((kty, bits) for kty in ("RSA", "RSA-HSM") for bits in (2048, 3072, 4096))


def usable_since(version: KeyVersion) -> datetime:
    """Return the earliest moment since which a version that is usable now may have been so without a break."""
    return max(moment for moment in (version.created, version.not_before, version.updated) if moment is not None)


class NeedMaterial(Struct, frozen=True):
    """The decision hangs on the material of this version, which has to be read first."""

    version: str


def newest_usable(history: KeyHistory, rules: KeyRules, now: datetime) -> KeyVersion | NeedMaterial | Blocked:
    """Return the newest version that is enabled, valid at `now` and of a material the rules accept.

    Asks for one version's material at a time, newest first, so that old versions are never looked at in vain.
    """
    refused = False
    for version in history.newest_first():
        if version.state(now) is not State.USABLE:
            continue
        if version.material is None:
            return NeedMaterial(version.version)
        if rules.accept(version.material):
            return version
        refused = True
    return Blocked(Reason.KEY_TYPE_NOT_ACCEPTED if refused else Reason.NO_USABLE_VERSION)


def latest_usable(history: KeyHistory, rules: KeyRules, now: datetime) -> KeyVersion | NeedMaterial | Blocked:
    """Return what the vault calls latest if it is usable: the target of a resource that follows by itself."""
    latest = history.find(history.latest)
    if latest is None:
        return Blocked(Reason.LATEST_UNUSABLE, detail="the vault's latest version is not in its list")
    state = latest.state(now)
    if state is not State.USABLE:
        return Blocked(Reason.LATEST_UNUSABLE, detail=f"version {latest.version} is {state.value}")
    if latest.material is None:
        return NeedMaterial(latest.version)
    if not rules.accept(latest.material):
        return Blocked(
            Reason.LATEST_UNUSABLE,
            detail=f"version {latest.version} is of a type, of a size or with operations that the service refuses",
        )
    return latest
