import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError, ServiceRequestError
from azure.identity.aio import ClientSecretCredential
from azure.keyvault.keys import KeyRotationLifetimeAction, KeyRotationPolicy, KeyRotationPolicyAction, KeyVaultKey
from azure.keyvault.keys._shared import http_challenge_cache
from azure.keyvault.keys.aio import KeyClient

from sandbox import identity, vault
from sandbox.clock import ManualClock
from sandbox.cloud import Cloud, Site
from sandbox.keyring import Key, KeyVersion
from sandbox.transport import InProcessTransport
from sandbox.wire import Answer, Call
from sandbox.world import Event, World

NOW = datetime(2026, 11, 2, tzinfo=UTC)
URL = "https://contoso-kv.vault.azure.net"
GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg1"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/contoso-kv"
OFFICER = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603"


def _world(**properties: Any) -> World:
    http_challenge_cache.clear()
    world = World(clock=ManualClock(NOW))
    tenant = {"tenantId": world.tenant_id, "vaultUri": f"{URL}/"}
    body = {"id": VAULT, "name": "contoso-kv", "type": "Microsoft.KeyVault/vaults", "location": "westeurope"}
    world.resources.put(body | {"properties": tenant | properties})
    return world


def _cloud(world: World) -> Cloud:
    sites = (
        Site((".vault.azure.net",), vault.answer, lambda _: "vault"),
        Site(("login.microsoftonline.com", "login.windows.net"), identity.answer, lambda _: "identity"),
    )
    return Cloud(world, sites)


def _with_keys(world: World, main: Callable[[KeyClient], Awaitable[None]], url: str = URL) -> None:
    async def run() -> None:
        transport = InProcessTransport(_cloud(world))
        async with (
            ClientSecretCredential(world.tenant_id, "an-app", "a secret", transport=transport) as credential,
            KeyClient(url, credential, transport=transport, retry_total=0) as client,
        ):
            await main(client)

    asyncio.run(run())


def _material(key: KeyVaultKey, name: str) -> Any:
    return getattr(key.key, name)  # the numbers, which the SDK sets without declaring them


def _events(world: World) -> list[Event]:
    heard: list[Event] = []
    world.event_listeners.append(heard.append)
    return heard


def _version(number: int, made: datetime, attributes: dict[str, Any]) -> KeyVersion:
    return KeyVersion(f"{number:032x}", made, made, **attributes)


def _key(world: World, name: str = "cmk", count: int = 1, **attributes: Any) -> Key:
    versions = [_version(number, NOW - timedelta(days=count - number), attributes) for number in range(count)]
    key = Key("contoso-kv", name, versions=versions)
    world.keyring.add(key)
    return key


def _post(world: World, path: str, body: bytes = b"{}") -> Answer:
    token, _ = identity.issue(world, "an-app", "https://vault.azure.net")
    call = Call("POST", f"{URL}{path}?api-version=2025-07-01", {"authorization": f"Bearer {token}"}, body)
    return _cloud(world).answer(call)


def test_the_first_call_is_challenged_and_the_sdk_comes_back_with_a_token() -> None:
    world = _world()

    async def main(client: KeyClient) -> None:
        await client.create_rsa_key("cmk", size=3072)

    _with_keys(world, main)
    vault_calls = [line.status for line in world.log if line.kind == "vault"]
    assert vault_calls == [401, 200]
    answer = _cloud(world).answer(Call("GET", f"{URL}/keys"))
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer authorization="https://login.windows.net/{world.tenant_id}", resource="https://vault.azure.net"'
    )


@pytest.mark.parametrize("token", ["Bearer nonsense", "Bearer a.b.c", "Basic eA=="])
def test_a_token_that_cannot_be_read_is_challenged(token: str) -> None:
    assert _cloud(_world()).answer(Call("GET", f"{URL}/keys", {"authorization": token})).status == 401


def test_a_token_that_has_expired_or_is_for_another_service_is_challenged() -> None:
    world = _world()
    other, _ = identity.issue(world, "an-app", "https://management.azure.com")
    ours, _ = identity.issue(world, "an-app", "https://vault.azure.net/")
    url = f"{URL}/keys?api-version=7.4"
    statuses = [
        _cloud(world).answer(Call("GET", url, {"authorization": f"Bearer {one}"})).status for one in (other, ours)
    ]
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
        statuses.append(_cloud(world).answer(Call("GET", url, {"authorization": f"Bearer {ours}"})).status)
    assert statuses == [401, 200, 401]


def test_a_key_is_made_read_rotated_and_told_of() -> None:
    world = _world(enablePurgeProtection=True)
    heard = _events(world)

    async def main(client: KeyClient) -> None:
        expires = NOW + timedelta(days=365)
        made = await client.create_rsa_key("cmk-Storage", size=2048, expires_on=expires, tags={"team": "a"})
        assert (made.key_type, len(_material(made, "n")), made.properties.recovery_level) == ("RSA", 256, "Recoverable")
        assert (made.properties.expires_on, made.properties.tags) == (expires, {"team": "a"})
        world.clock.shift(timedelta(seconds=5))
        rotated = await client.rotate_key("CMK-storage")
        latest = await client.get_key("cmk-storage")
        assert latest.id == rotated.id
        assert latest.id != made.id
        assert latest.properties.expires_on is None
        assert latest.properties.created_on == NOW + timedelta(seconds=5)
        old = await client.get_key("cmk-storage", made.properties.version)
        assert (old.id, _material(old, "n")) == (made.id, _material(made, "n"))

    _with_keys(world, main)
    assert [(event.topic, event.subject, event.type) for event in heard] == [
        (VAULT, "cmk-Storage", "Microsoft.KeyVault.KeyNewVersionCreated")
    ] * 2
    assert set(heard[0].data) == {"Id", "VaultName", "ObjectType", "ObjectName", "Version", "NBF", "EXP"}
    assert heard[0].data["Id"] == f"{URL}/keys/cmk-Storage/{heard[0].data['Version']}"
    assert (heard[0].data["EXP"], heard[1].data["EXP"]) == (int((NOW + timedelta(days=365)).timestamp()), None)


def test_versions_come_in_pages_and_in_no_promised_order() -> None:
    world = _world()
    made = [one.version for one in _key(world, count=60).versions]

    async def main(client: KeyClient) -> None:
        found = [one.version async for one in client.list_properties_of_key_versions("cmk")]
        again = [one.version async for one in client.list_properties_of_key_versions("cmk", max_page_size=7)]
        assert sorted(map(str, found)) == made
        assert found != made
        assert found == again

    _with_keys(world, main)
    assert len([line for line in world.log if line.kind == "vault"]) == 1 + 3 + 9


def test_keys_are_listed_without_the_deleted_ones() -> None:
    world = _world()
    for name in ("one", "two", "three"):
        _key(world, name)
    world.keyring.add(Key("other-kv", "four", versions=[KeyVersion("0" * 32, NOW, NOW)]))

    async def main(client: KeyClient) -> None:
        await client.delete_key("two")
        assert [one.name async for one in client.list_properties_of_keys()] == ["one", "three"]
        assert [one.name async for one in client.list_deleted_keys()] == ["two"]

    _with_keys(world, main)


def test_attributes_of_a_version_can_be_changed() -> None:
    world = _world()
    _key(world, count=2)

    async def main(client: KeyClient) -> None:
        changed = await client.update_key_properties("cmk", "0" * 32, enabled=False, tags={"a": "b"})
        assert (changed.properties.enabled, changed.properties.tags) == (False, {"a": "b"})
        latest = await client.get_key("cmk")
        assert latest.properties.enabled
        with pytest.raises(HttpResponseError) as refused:
            await client.update_key_properties("cmk", not_before=NOW, expires_on=NOW)
        assert refused.value.status_code == 400

    _with_keys(world, main)


def test_a_deleted_key_holds_its_name_and_can_be_recovered_or_purged() -> None:
    world = _world()
    _key(world)

    async def main(client: KeyClient) -> None:
        gone = await client.delete_key("cmk")
        assert gone.scheduled_purge_date == NOW + timedelta(days=90)
        with pytest.raises(ResourceNotFoundError) as missing:
            await client.get_key("cmk")
        assert missing.value.error is not None
        assert missing.value.error.code == "KeyNotFound"
        with pytest.raises(ResourceExistsError):
            await client.create_rsa_key("cmk")
        assert (await client.recover_deleted_key("cmk")).id == gone.id
        await client.delete_key("cmk")
        await client.purge_deleted_key("cmk")
        await client.create_rsa_key("cmk")

    _with_keys(world, main)


def test_purge_protection_keeps_a_deleted_key_until_its_time_is_over() -> None:
    world = _world(enablePurgeProtection=True, softDeleteRetentionInDays=7)
    _key(world)

    async def main(client: KeyClient) -> None:
        assert (await client.delete_key("cmk")).properties.recovery_level == "CustomizedRecoverable"
        with pytest.raises(HttpResponseError, match="purge protection") as refused:
            await client.purge_deleted_key("cmk")
        assert refused.value.status_code == 403
        world.clock.shift(timedelta(days=7))
        with pytest.raises(ResourceNotFoundError):
            await client.get_deleted_key("cmk")

    _with_keys(world, main)


def test_a_new_version_may_be_of_another_size_than_the_old_ones() -> None:
    world = _world()
    _key(world)

    async def main(client: KeyClient) -> None:
        await client.create_rsa_key("cmk", size=4096)
        sizes = [len(_material(await client.get_key("cmk", version), "n")) * 8 for version in ("0" * 32, "")]
        assert sizes == [3072, 4096]

    _with_keys(world, main)


def test_elliptic_curves_and_hsm_keys_are_shown_as_such() -> None:
    async def main(client: KeyClient) -> None:
        curve = await client.create_ec_key("curve", curve="P-384", hardware_protected=True)
        assert (curve.key_type, _material(curve, "crv"), len(_material(curve, "x"))) == ("EC-HSM", "P-384", 48)
        assert curve.properties.hsm_platform == "2"
        with pytest.raises(HttpResponseError):
            await client.create_rsa_key("odd", size=1024)

    _with_keys(_world(), main)


def test_a_key_that_backs_a_certificate_is_marked_and_cannot_be_rotated_by_itself() -> None:
    world = _world()
    _key(world).managed = True

    async def main(client: KeyClient) -> None:
        assert (await client.get_key("cmk")).properties.managed
        with pytest.raises(HttpResponseError) as refused:
            await client.rotate_key("cmk")
        assert refused.value.status_code == 403

    _with_keys(world, main)


@pytest.mark.parametrize(
    ("attributes", "wrap", "unwrap"),
    [
        ({}, None, None),
        ({"enabled": False}, "KeyDisabled", "KeyDisabled"),
        ({"expires": NOW}, "KeyExpired", None),
        ({"not_before": NOW + timedelta(days=1)}, "KeyNotYetValid", None),
    ],
)
def test_the_three_states_refuse_what_key_vault_refuses(attributes: Any, wrap: str | None, unwrap: str | None) -> None:
    world = _world()
    key = _key(world)
    body = b'{"alg": "RSA-OAEP-256", "value": "c2VjcmV0"}'
    wrapped = _post(world, "/keys/cmk/wrapkey", body).json()["value"]
    for name, value in attributes.items():
        setattr(key.latest, name, value)
    first = _post(world, f"/keys/cmk/{'0' * 32}/wrapkey", body)
    second = _post(
        world, f"/keys/cmk/{'0' * 32}/unwrapkey", b'{"alg": "RSA-OAEP-256", "value": "%s"}' % wrapped.encode()
    )
    found = [one.json().get("error", {}).get("innererror", {}).get("code") for one in (first, second)]
    assert found == [wrap, unwrap]
    if unwrap is None:
        assert second.json()["value"] == "c2VjcmV0"


def test_no_other_version_unwraps_what_one_has_wrapped() -> None:
    world = _world()
    _key(world, count=2)
    wrapped = _post(world, f"/keys/cmk/{'0' * 32}/wrapkey", b'{"alg": "RSA1_5", "value": "c2VjcmV0"}').json()["value"]
    assert _post(world, "/keys/cmk/unwrapkey", b'{"alg": "RSA1_5", "value": "%s"}' % wrapped.encode()).status == 400


def test_an_operation_outside_key_ops_is_refused() -> None:
    world = _world()
    _key(world, operations=("sign", "verify"))
    answer = _post(world, "/keys/cmk/wrapkey", b'{"alg": "RSA1_5", "value": "c2VjcmV0"}')
    assert (answer.status, answer.json()["error"]["innererror"]["code"]) == (403, "KeyOperationForbidden")


@pytest.mark.parametrize(
    ("properties", "inner"),
    [
        ({"publicNetworkAccess": "Disabled"}, "ForbiddenByConnection"),
        ({"networkAcls": {"defaultAction": "Deny"}}, "ForbiddenByFirewall"),
    ],
)
def test_a_closed_vault_forbids(properties: dict[str, Any], inner: str) -> None:
    answer = _post(_world(**properties), "/keys/cmk/rotate")
    assert (answer.status, answer.json()["error"]["innererror"]["code"]) == (403, inner)


def test_a_vault_that_does_not_exist_does_not_resolve() -> None:
    async def main(client: KeyClient) -> None:
        with pytest.raises(ServiceRequestError):
            await client.get_key("cmk")

    _with_keys(_world(), main, url="https://elsewhere.vault.azure.net")


@pytest.mark.parametrize("path", ["/secrets/one", "/keys/cmk/release", "/keys/cmk/0/sign"])
def test_what_the_sandbox_does_not_do_is_answered_501_by_name(path: str) -> None:
    answer = _post(_world(), path)
    assert (answer.status, answer.json()["error"]["code"]) == (501, "NotInSandbox")


def test_a_strict_vault_judges_its_callers() -> None:
    world = _world(enableRbacAuthorization=True)
    world.memory["vault"] = {"strict": True}
    _key(world)
    refused = _post(world, "/keys/cmk/rotate")
    assert (refused.status, refused.json()["error"]["innererror"]["code"]) == (403, "ForbiddenByRbac")
    world.resources.put(
        {
            "id": f"{VAULT}/providers/Microsoft.Authorization/roleAssignments/1",
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {
                "scope": VAULT,
                "principalId": identity.principal_of(world, "an-app"),
                "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{OFFICER}",
            },
        }
    )
    assert _post(world, "/keys/cmk/rotate").status == 200


def _policy(
    client: KeyClient, expires: str | None, *actions: KeyRotationLifetimeAction
) -> Awaitable[KeyRotationPolicy]:
    return client.update_key_rotation_policy(
        "cmk", KeyRotationPolicy(), expires_in=expires, lifetime_actions=list(actions)
    )


def test_a_key_that_rotates_in_time_by_its_policy_never_comes_near_its_expiry() -> None:
    world = _world()
    _key(world)
    heard = _events(world)
    rotate = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P60D")
    notify = KeyRotationLifetimeAction(KeyRotationPolicyAction.notify, time_before_expiry="P10D")

    async def main(client: KeyClient) -> None:
        assert (await client.get_key_rotation_policy("cmk")).lifetime_actions[0].time_before_expiry == "P30D"
        policy = await _policy(client, "P90D", rotate, notify)
        assert (policy.expires_in, policy.updated_on) == ("P90D", NOW)

    _with_keys(world, main)
    assert vault.due(world) == NOW - timedelta(days=1) + timedelta(days=60)
    told = []
    for day in range(1, 300):
        world.clock.shift(timedelta(days=1))
        vault.advance(world)
        told += [(day, event.type.rpartition(".")[2]) for event in heard]
        heard.clear()
    assert told == [(day, "KeyNewVersionCreated") for day in (59, 119, 179, 239, 299)]


def test_expiry_is_announced_thirty_days_before_and_when_it_comes() -> None:
    world = _world()
    _key(world, expires=NOW + timedelta(days=40))
    _key(world, "old", expires=NOW - timedelta(days=1))
    heard = _events(world)
    assert vault.due(world) == NOW + timedelta(days=10)
    for _ in range(60):
        world.clock.shift(timedelta(days=1))
        vault.advance(world)
    assert [(event.time - NOW, event.type) for event in heard] == [
        (timedelta(days=10), "Microsoft.KeyVault.KeyNearExpiry"),
        (timedelta(days=40), "Microsoft.KeyVault.KeyExpired"),
    ]
    assert vault.due(world) is None


@pytest.mark.parametrize(
    ("expires", "action"),
    [
        ("P27D", KeyRotationLifetimeAction("Notify", time_before_expiry="P10D")),
        ("P90D", KeyRotationLifetimeAction("Rotate", time_after_create="P6D")),
        (None, KeyRotationLifetimeAction("Rotate", time_before_expiry="P30D")),
        ("a while", KeyRotationLifetimeAction("Rotate", time_after_create="P60D")),
    ],
)
def test_policies_that_key_vault_does_not_take_are_refused(
    expires: str | None, action: KeyRotationLifetimeAction
) -> None:
    world = _world()
    _key(world)

    async def main(client: KeyClient) -> None:
        with pytest.raises(HttpResponseError) as refused:
            await _policy(client, expires, action)
        assert refused.value.status_code == 400

    _with_keys(world, main)


def test_the_same_seed_gives_the_same_keys() -> None:
    made: list[KeyVaultKey] = []

    async def main(client: KeyClient) -> None:
        made.append(await client.create_rsa_key("cmk"))

    _with_keys(_world(), main)
    _with_keys(_world(), main)
    assert made[0].id == made[1].id
    assert _material(made[0], "n") == _material(made[1], "n")
