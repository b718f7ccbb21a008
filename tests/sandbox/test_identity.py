import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from sandbox import identity
from sandbox.clock import ManualClock
from sandbox.cloud import Cloud, Site
from sandbox.wire import Answer, Call
from sandbox.world import World

LOGIN = "https://login.microsoftonline.com"
TENANT = "33333333-3333-4333-8333-333333333333"
ENDPOINT = "http://127.0.0.1:4279/msi/token"


def _world(seed: int = 1) -> World:
    return World(clock=ManualClock(datetime(2026, 11, 2, tzinfo=UTC)), seed=seed)


def _ask(method: str, path: str, form: dict[str, str] | None = None) -> Answer:
    site = Site(("login.microsoftonline.com",), identity.answer, lambda _: "identity")
    return Cloud(_world(), (site,)).answer(Call(method, LOGIN + path, {}, urlencode(form or {}).encode()))


def _token(**claims: Any) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{part}.c2ln"


def _bearer(world: World, authorization: str, *audiences: str) -> identity.Claims | None:
    call = Call("GET", "https://management.azure.com/", {"authorization": authorization})
    return identity.bearer(world, call, audiences)


@pytest.mark.parametrize("tenant", [TENANT, "common", "organizations", "contoso.onmicrosoft.com"])
def test_discovery_names_the_endpoints_of_the_tenant_that_is_asked_for(tenant: str) -> None:
    found = _ask("GET", f"/{tenant}/v2.0/.well-known/openid-configuration").json()
    assert found["token_endpoint"] == f"{LOGIN}/{tenant}/oauth2/v2.0/token"
    assert {"issuer", "authorization_endpoint", "device_authorization_endpoint"} <= set(found)


def test_instance_discovery_knows_the_aliases_of_the_cloud() -> None:
    found = _ask("GET", "/common/discovery/instance?api-version=1.1").json()
    assert "login.windows.net" in found["metadata"][0]["aliases"]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"grant_type": "password", "client_id": "a", "scope": "b"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "scope": "b"}, "invalid_request"),
        ({"grant_type": "client_credentials", "client_id": "a"}, "invalid_request"),
    ],
)
def test_grants_that_make_no_sense_are_refused_as_entra_does(form: dict[str, str], code: str) -> None:
    answer = _ask("POST", f"/{TENANT}/oauth2/v2.0/token", form)
    assert (answer.status, answer.json()["error"]) == (400, code)


def test_a_path_that_login_hosts_do_not_have_is_not_found() -> None:
    assert _ask("GET", "/somewhere").status == 404


def test_a_client_has_the_same_principal_every_time_and_another_one_under_another_seed() -> None:
    first = identity.principal_of(_world(), "A-Client")
    assert first == identity.principal_of(_world(), "a-client")
    assert first != identity.principal_of(_world(2), "a-client")
    assert first != identity.principal_of(_world(), "another")


def test_a_user_assigned_identity_speaks_with_its_own_principal() -> None:
    world = _world()
    kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
    ids = {"clientId": "77777777-7777-4777-8777-777777777777", "principalId": "66666666-6666-4666-8666-666666666666"}
    world.resources.put(
        {"id": f"/subscriptions/s/resourceGroups/g/providers/{kind}/own", "type": kind, "properties": ids}
    )
    url = f"{ENDPOINT}?api-version=2019-08-01&resource=https://vault.azure.net&client_id={ids['clientId']}"
    answer = identity.managed_identity(world, Call("GET", url, {"x-identity-header": identity.identity_header(world)}))
    claims = _bearer(world, f"Bearer {answer.json()['access_token']}", "https://vault.azure.net")
    assert claims is not None
    assert (claims.oid, claims.appid) == (ids["principalId"], ids["clientId"])
    assert set(answer.json()) == {"access_token", "expires_on", "resource", "token_type", "client_id"}
    assert isinstance(answer.json()["expires_on"], str)


@pytest.mark.parametrize(("header", "query", "status"), [("wrong", "?resource=x", 401), ("right", "", 400)])
def test_managed_identity_wants_its_header_and_a_resource(header: str, query: str, status: int) -> None:
    world = _world()
    sent = identity.identity_header(world) if header == "right" else header
    assert identity.managed_identity(world, Call("GET", ENDPOINT + query, {"x-identity-header": sent})).status == status


@pytest.mark.parametrize(
    ("authorization", "oid"),
    [
        (f"Bearer {_token(oid='o', aud='https://management.azure.com/', exp=2**33)}", "o"),
        (f"bearer {_token(tid='t')}", ""),
        (f"Bearer {_token(oid='o', aud='https://vault.azure.net', exp=2**33)}", None),
        (f"Bearer {_token(oid='o', exp=1)}", None),
        ("Bearer one.two", None),
        (f"Bearer e30.{base64.urlsafe_b64encode(b'[]').decode()}.x", None),
        ("SharedKey a:b", None),
        ("", None),
    ],
)
def test_tokens_of_others_count_when_they_can_be_read_and_fit(authorization: str, oid: str | None) -> None:
    claims = _bearer(_world(), authorization, "https://management.azure.com", "https://management.core.windows.net")
    assert (claims.oid if claims else None) == oid
