"""The data plane's routes: who calls, what for, and what comes back."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from sandbox.identity import Claims, bearer
from sandbox.keyring import Key, KeyVersion
from sandbox.vault import access, backups, bundles, crypto, keys, policy, refusals, timed
from sandbox.wire import Answer, Call, Json, Refused, Unreachable
from sandbox.world import World

AUDIENCES = ("https://vault.azure.net",)
T = TypeVar("T")

PAGE = 25  # results; more cannot be asked for


@dataclass(frozen=True)
class _Request:
    """One call to one vault by one caller."""

    world: World
    call: Call
    vault: Json
    claims: Claims

    def need(self, permission: str, key_name: str = "") -> None:
        """Raise Refused 403 when the vault is strict and the caller lacks the permission."""
        principal = self.claims.oid
        if access.strict(self.world) and not access.may(self.world, self.vault, principal, permission, key_name):
            raise refusals.no_permission(self.vault, self.claims, permission)

    def bundle(self, key: Key, version: KeyVersion) -> Json:
        """Return a version's bundle."""
        return bundles.bundle(self.world, self.vault, self.call.host, key, version)


def answer(world: World, call: Call) -> Answer:
    """Answer for a vault's host. Raises Unreachable for a vault that does not exist: its name does not resolve."""
    vault = access.find_vault(world, call.host)
    if vault is None:
        raise Unreachable(f"no vault at {call.host}")
    claims = bearer(world, call, AUDIENCES)
    if claims is None:
        return refusals.challenge(world, vault, token="authorization" in call.headers)
    closed = access.firewall(vault)
    if closed and not access.comes_from_allowed(vault):
        raise refusals.closed(closed)
    if not call.query.get("api-version"):
        raise refusals.bad("The query parameter api-version is missing.")
    found = _route(_Request(world, call, vault, claims))
    if call.method != "GET":
        timed.touched(world)
    return found


def _route(request: _Request) -> Answer:
    match request.call.segments:
        case ("keys", *rest):
            return _keys(request, tuple(rest))
        case ("deletedkeys", *rest):
            return _deleted(request, tuple(rest))
    raise _absent(request.call)


def _keys(request: _Request, rest: tuple[str, ...]) -> Answer:
    world, vault, method = request.world, request.vault, request.call.method
    match method, rest:
        case "GET", ():
            request.need("list")
            living = [key for key in world.keyring.of(str(vault["name"])) if key.deleted is None and key.versions]
            return _page(request, living, lambda key: bundles.item(vault, request.call.host, key))
        case "POST", ("restore",):
            request.need("restore")
            key = backups.restore(world, vault, _body(request))
            return Answer.of(request.bundle(key, key.latest))
        case "PUT", (name,):
            request.need("import", name)
            key = backups.import_(world, vault, name, _body(request))
            return Answer.of(request.bundle(key, key.latest))
        case "POST", (name, "create"):
            request.need("create", name)
            key = keys.create(world, vault, name, _body(request))
            return Answer.of(request.bundle(key, key.latest))
        case _, (name, *more):
            return _key(request, name, tuple(more))
    raise _absent(request.call)


def _key(request: _Request, name: str, rest: tuple[str, ...]) -> Answer:  # noqa: PLR0911  one for each route
    world, vault, host, method = request.world, request.vault, request.call.host, request.call.method
    match method, rest:
        case "GET", ("versions",):
            request.need("list", name)
            key = keys.living(world, vault, name)
            shuffled = sorted(key.versions, key=lambda one: _shuffle(world, one))
            return _page(request, shuffled, lambda one: bundles.item(vault, host, key, one))
        case "GET", ("rotationpolicy",):
            request.need("getrotationpolicy", name)
            return Answer.of(policy.show(host, keys.living(world, vault, name)))
        case "PUT", ("rotationpolicy",):
            request.need("setrotationpolicy", name)
            key = keys.living(world, vault, name)
            policy.put(world, key, _body(request))
            return Answer.of(policy.show(host, key))
        case "POST", ("rotate",):
            request.need("rotate", name)
            key = keys.living(world, vault, name)
            return Answer.of(request.bundle(key, keys.rotate(world, vault, key)))
        case "POST", ("backup",):
            request.need("backup", name)
            return Answer.of(backups.take(world, keys.living(world, vault, name)))
        case "DELETE", ():
            request.need("delete", name)
            key = keys.living(world, vault, name)
            keys.delete(world, vault, key)
            return Answer.of(request.bundle(key, key.latest) | bundles.deleted(vault, host, key))
        case (("GET" | "PATCH"), (() | (_,))):
            return _version(request, name, rest[0] if rest else "")
        case "POST", ((operation,) | (_, operation)) if operation.lower() in crypto.OPERATIONS:
            operation = crypto.OPERATIONS[operation.lower()]
            request.need(operation, name)
            key, version = _find(request, name, rest[0] if len(rest) > 1 else "")
            return Answer.of(crypto.carry_out(world, host, key, version, operation, _body(request)))
    raise _absent(request.call)


def _version(request: _Request, name: str, wanted: str) -> Answer:
    changing = request.call.method == "PATCH"
    request.need("update" if changing else "get", name)
    key, version = _find(request, name, wanted)
    if changing:
        keys.update(request.world, key, version, _body(request))
    return Answer.of(request.bundle(key, version))


def _deleted(request: _Request, rest: tuple[str, ...]) -> Answer:
    world, vault, host, method = request.world, request.vault, request.call.host, request.call.method
    match method, rest:
        case "GET", ():
            request.need("list")
            found = [keys.lookup(world, vault, one.name) for one in world.keyring.of(str(vault["name"]))]
            gone = [key for key in found if key is not None and key.deleted is not None]
            return _page(request, gone, lambda one: bundles.item(vault, host, one) | bundles.deleted(vault, host, one))
        case "GET", (name,):
            request.need("get", name)
            key = keys.buried(world, vault, name)
            return Answer.of(request.bundle(key, key.latest) | bundles.deleted(vault, host, key))
        case "POST", (name, "recover"):
            request.need("recover", name)
            key = keys.buried(world, vault, name)
            key.deleted = None
            return Answer.of(request.bundle(key, key.latest))
        case "DELETE", (name,):
            request.need("purge", name)
            keys.purge(world, vault, keys.buried(world, vault, name))
            return Answer(204)
    raise _absent(request.call)


def _find(request: _Request, name: str, wanted: str) -> tuple[Key, KeyVersion]:
    key = keys.living(request.world, request.vault, name)
    version = key.find(wanted) if wanted else key.latest
    if version is None:
        raise refusals.key_missing(f"{name}/{wanted}")
    return key, version


def _page(request: _Request, found: Sequence[T], show: Callable[[T], Json]) -> Answer:
    query = request.call.query
    try:
        size = int(query.get("maxresults", PAGE))
        start = int(base64.urlsafe_b64decode(query.get("$skiptoken", "")) or b"0")
    except (ValueError, binascii.Error) as error:
        raise refusals.bad("The query parameters maxresults or $skiptoken are invalid.") from error
    if not 1 <= size <= PAGE:
        raise refusals.bad(f"The query parameter maxresults must be between 1 and {PAGE}.")
    following = None
    if start + size < len(found):
        token = quote(base64.urlsafe_b64encode(str(start + size).encode()).decode())
        version = quote(query["api-version"])
        # Key Vault names the port in its links; the SDK knows that [azure-keyvault-keys http_challenge_cache.py].
        base = f"https://{request.call.host}:443{request.call.path}"
        following = f"{base}?api-version={version}&$skiptoken={token}&maxresults={size}"
    return Answer.of({"value": [show(one) for one in found[start : start + size]], "nextLink": following})


def _shuffle(world: World, version: KeyVersion) -> bytes:
    # The order of versions is not promised; this one is stable, and not the order of creation.
    return hashlib.blake2b(f"{world.seed}: {version.version}".encode(), digest_size=8).digest()


def _body(request: _Request) -> Json:
    body: Any = request.call.json()
    if not isinstance(body, dict):
        raise refusals.bad("The request body is not a JSON object.")
    return body


def _absent(call: Call) -> Refused:
    return Refused(501, "NotInSandbox", f"The sandbox's vaults do not do {call.method} {call.path}.")
