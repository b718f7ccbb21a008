"""What can be looked at after a command: what it printed, and what Azure's state is by the console."""

from __future__ import annotations

from typing import Any

from tools.clients.azure import KEY, URI, VAULT, Azure, WrongError
from tools.clients.steps import Done, Look


def expect(what: str, found: Any, wanted: Any) -> None:
    """Raise WrongError unless found is wanted."""
    if found != wanted:
        raise WrongError(f"{what}: {found!r} in place of {wanted!r}")


def printed(path: str, wanted: Any) -> Look:
    """Look for a value in the printed JSON; the path is like "properties.sku.name" or "0.name"."""

    def look(done: Done, _: Azure) -> None:
        expect(f"printed {path}", _at(done.json(), path), wanted)

    return look


def printed_names(*wanted: str, path: str = "name") -> Look:
    """Look whether the printed list has exactly these names, in any order."""

    def look(done: Done, _: Azure) -> None:
        rows = done.json()
        expect("printed", sorted(str(_at(row, path)).rpartition("/")[2] for row in rows), sorted(wanted))

    return look


def pinned(account: str, version: str, key: str = KEY) -> Look:
    """Look whether an account names this version of the key, and whether it is in effect."""

    def look(_: Done, azure: Azure) -> None:
        found = _pointer(azure, account)
        expect(f"{account}'s key version", found.get("keyversion"), version)
        _in_effect(azure, account, key, version)

    return look


def follows(account: str, key: str = KEY) -> Look:
    """Look whether an account names the key without a version, and whether the latest one is in effect."""

    def look(_: Done, azure: Azure) -> None:
        expect(f"{account}'s key version", _pointer(azure, account).get("keyversion") or "", "")
        _in_effect(azure, account, key, azure.latest(key)["version"])

    return look


def on_platform(account: str) -> Look:
    """Look whether an account uses the platform's key."""

    def look(_: Done, azure: Azure) -> None:
        expect(f"{account}'s key source", azure.encryption(account)["keySource"], "Microsoft.Storage")

    return look


def stored(id_: str, path: str, wanted: Any) -> Look:
    """Look for a value in the body of a resource as it is stored."""

    def look(_: Done, azure: Azure) -> None:
        expect(path, _at(azure.resource(id_), path), wanted)

    return look


def key_has(key: str, versions: int, **wanted: Any) -> Look:
    """Look whether a key has so many versions, and the latest one these members."""

    def look(_: Done, azure: Azure) -> None:
        found = azure.versions(key)
        expect(f"{key}'s versions", len(found), versions)
        for name, value in wanted.items():
            expect(f"{name} of {key}", found[-1][name], value)

    return look


def key_deleted(key: str, *, yes: bool) -> Look:
    """Look whether a key is deleted, or is not."""

    def look(_: Done, azure: Azure) -> None:
        rows = azure.ask(f"keys?vault={VAULT}")["value"]
        expect(f"{key} is deleted", [one["deleted"] for one in rows if one["name"] == key], [yes])

    return look


def printed_latest(key: str, path: str = "key.kid") -> Look:
    """Look whether the printed key id is that of the latest version in the vault."""

    def look(done: Done, azure: Azure) -> None:
        expect(f"printed {path}", _at(done.json(), path), f"{URI}/keys/{key}/{azure.latest(key)['version']}")

    return look


def _pointer(azure: Azure, account: str) -> dict[str, Any]:
    encryption = azure.encryption(account)
    expect(f"{account}'s key source", encryption["keySource"], "Microsoft.Keyvault")
    found: dict[str, Any] = encryption["keyvaultproperties"]
    return found


def _in_effect(azure: Azure, account: str, key: str, version: str) -> None:
    expected = f"{URI}/keys/{key}/{version}"
    expect(f"in effect on {account}", _pointer(azure, account)["currentVersionedKeyIdentifier"], expected)


def _at(found: Any, path: str) -> Any:
    for part in path.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found
