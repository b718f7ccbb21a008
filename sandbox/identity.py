"""Microsoft Entra ID as far as clients need it: discovery, client credentials, managed identity, and reading tokens."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from sandbox.wire import Answer, Call, Json, Refused
from sandbox.world import World

LIFETIME = 3600  # seconds
OPERATOR_CLIENT_ID = "77777777-7777-4777-8777-777777777777"  # who works at a terminal
TOKEN_PARTS = 3


@dataclass(frozen=True)
class Claims:
    """What a token says: oid is the principal, exp the end in seconds since the epoch."""

    oid: str
    appid: str
    tid: str
    aud: str
    exp: float


def answer(world: World, call: Call) -> Answer:
    """Answer for the login hosts. An unknown path raises Refused 404; a refused grant answers 400 as Entra does."""
    path = call.path.lower()
    if path.endswith("/.well-known/openid-configuration"):
        return Answer.of(_discovery(call.host, call.segments[0]))
    if path.endswith("/discovery/instance"):
        return Answer.of(_instance(call.host))
    if path.endswith(("/oauth2/v2.0/token", "/oauth2/token")) and call.method == "POST":
        return _token(world, call)
    raise Refused(404, "NotFound", f"The sandbox's login host has no {call.method} {call.path}.")


def managed_identity(world: World, call: Call) -> Answer:
    """Answer as App Service's IDENTITY_ENDPOINT does: 200 with a token for `resource`, 400 or 401 with a message."""
    header = call.headers.get("x-identity-header", "")
    if header not in {identity_header(world), operator_header(world)}:
        return Answer.of({"statusCode": 401, "message": "The X-IDENTITY-HEADER is missing or wrong."}, 401)
    resource = call.query.get("resource", "")
    if not resource:
        return Answer.of({"statusCode": 400, "message": "The parameter resource is missing."}, 400)
    own = world.app_client_id if header == identity_header(world) else OPERATOR_CLIENT_ID
    client_id = call.query.get("client_id") or own
    token, expires = issue(world, client_id, resource)
    return Answer.of(
        {
            "access_token": token,
            "expires_on": str(expires),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": client_id,
        }
    )


def operator_header(world: World) -> str:
    """Return the header with which a person at a terminal asks: the same endpoint, but another hand than the app's."""
    return f"{identity_header(world)}-operator"


def identity_header(world: World) -> str:
    """Return what callers of the managed identity endpoint send as X-IDENTITY-HEADER; it follows from the seed."""
    memory = world.memory.setdefault("identity", {})
    if "header" not in memory:
        memory["header"] = _seeded_guid(world, "identity header")
    return str(memory["header"])


def principal_of(world: World, client_id: str) -> str:
    """Return an application's object id: the app's own, a user-assigned identity's, or one seeded by the client id."""
    wanted = client_id.lower()
    if wanted == world.app_client_id.lower():
        return world.app_principal_id
    for body in world.resources.of_type("Microsoft.ManagedIdentity/userAssignedIdentities"):
        properties = body.get("properties", {})
        if str(properties.get("clientId", "")).lower() == wanted and properties.get("principalId"):
            return str(properties["principalId"])
    return _seeded_guid(world, f"principal of {wanted}")


def issue(world: World, client_id: str, audience: str, tenant: str = "") -> tuple[str, int]:
    """Return a token of that application for the audience, and its end in whole seconds since the epoch."""
    # For clients that were told of a shifted clock and for those that were not: neither finds a new token expired.
    earlier, later = sorted((int(world.clock.time()), int(world.clock.process_time())))
    tenant = tenant or world.tenant_id
    claims = {
        "aud": audience,
        "iss": f"https://sts.windows.net/{tenant}/",
        "iat": earlier,
        "nbf": earlier,
        "exp": later + LIFETIME,
        "appid": client_id,
        "idtyp": "app",
        "oid": principal_of(world, client_id),
        "sub": principal_of(world, client_id),
        "tid": tenant,
        "ver": "1.0",
    }
    parts = (_packed({"typ": "JWT", "alg": "RS256", "kid": "sandbox"}), _packed(claims), _packed("sandbox"))
    return ".".join(parts), later + LIFETIME


def bearer(world: World, call: Call, audiences: tuple[str, ...]) -> Claims | None:
    """Return the caller's claims; None when the token is missing, unreadable, expired or for another audience.

    Time is the clients' own (Clock.process_time). Signatures are not checked, and a token without `aud` or `exp`
    passes: tools bring tokens that others have made.
    """
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    claims = _claims(token.strip())
    if claims is None or claims.exp <= world.clock.process_time():
        return None
    if claims.aud and claims.aud.rstrip("/") not in {one.rstrip("/") for one in audiences}:
        return None
    return claims


@lru_cache(maxsize=256)
def _claims(token: str) -> Claims | None:
    parts = token.split(".")
    if len(parts) != TOKEN_PARTS:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        exp = float(found.get("exp", "inf"))
    except (ValueError, TypeError, AttributeError):
        return None
    text = {name: str(found.get(name) or "") for name in ("oid", "appid", "tid", "aud")}
    return Claims(**text, exp=exp)


def _packed(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()).decode().rstrip("=")


def _seeded_guid(world: World, purpose: str) -> str:
    # A generator of its own, so that asking for an identity does not move the world's sequence.
    return str(UUID(int=random.Random(f"{world.seed}: {purpose}").getrandbits(128), version=4))


def _token(world: World, call: Call) -> Answer:
    form = dict(parse_qsl(call.body.decode("utf-8", "replace")))
    grant = form.get("grant_type", "")
    if grant != "client_credentials":
        return _error("unsupported_grant_type", f"AADSTS70003: The app requested an unsupported grant type '{grant}'.")
    client_id = form.get("client_id", "")
    if not client_id:
        return _error("invalid_request", "AADSTS900144: The request body must contain the parameter: 'client_id'.")
    audience = _audience(form)
    if not audience:
        return _error("invalid_request", "AADSTS900144: The request body must contain the parameter: 'scope'.")
    token, _ = issue(world, client_id, audience, _tenant(world, call))
    lasting = {"expires_in": LIFETIME, "ext_expires_in": LIFETIME}
    return Answer.of({"token_type": "Bearer", **lasting, "access_token": token})


def _audience(form: Mapping[str, str]) -> str:
    # "https://management.core.windows.net//.default" means the audience with its trailing slash.
    return form.get("resource") or form.get("scope", "").partition(" ")[0].removesuffix("/.default")


def _tenant(world: World, call: Call) -> str:
    try:
        return str(UUID(call.segments[0]))
    except ValueError:  # a domain name, "common" or "organizations"
        return world.tenant_id


def _error(code: str, description: str) -> Answer:
    return Answer.of(
        {"error": code, "error_description": description, "error_codes": [int(description[6:].partition(":")[0])]}, 400
    )


def _discovery(host: str, tenant: str) -> Json:
    base = f"https://{host}/{tenant}"
    return {
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
        "jwks_uri": f"{base}/discovery/v2.0/keys",
        "issuer": f"https://{host}/{tenant if tenant != 'common' else '{tenantid}'}/v2.0",
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "cloud_instance_name": "microsoftonline.com",
        "tenant_region_scope": None,
    }


def _instance(host: str) -> Json:
    names = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
    return {
        "tenant_discovery_endpoint": f"https://{host}/common/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": names[0], "preferred_cache": names[1], "aliases": names}],
    }
