"""A vault's answers: only what is about the key that was asked for, and from the vault that was asked, is believed."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.adapters import keys as vault_keys
from shared.domain.keys import KeyId
from shared.domain.reasons import Reason
from shared.errors import NotThere, Refusal, TryLater
from tests.support.azure import MID, NEW, OLD, START, Azure, account, estate, on_azure

KEY = KeyId("kv-main.vault.azure.net", "cmk")
USER = account("st1")
OTHERS = [
    f"https://kv-main.vault.azure.net/keys/other/{NEW}",
    f"https://kv-main.vault.azure.net/keys/other/{MID}",
    f"https://kv-evil.vault.azure.net/keys/cmk/{NEW}",
    f"https://kv-main.vault.azure.net.evil.example/keys/cmk/{NEW}",
]
Spoil = Callable[[Any], Any]


def spoiling(azure: Azure, ending: str, spoil: Spoil, host: str = KEY.host) -> None:
    """Let an answer about the key say something else."""

    def after(call: Call, answer: Answer) -> Answer:
        asked = call.host == host and call.path.endswith(ending) and answer.status == 200
        return Answer.of(spoil(answer.json())) if asked else answer

    azure.world.hooks = Hooks(after=after)


def listing(kid: str) -> Spoil:
    return lambda body: {"value": [*body["value"], {**body["value"][0], "kid": kid}]}


def naming(kid: str) -> Spoil:
    return lambda body: {**body, "key": {**body["key"], "kid": kid}}


@pytest.mark.parametrize("kid", OTHERS)
@pytest.mark.parametrize(("ending", "spoil"), [("/versions", listing), ("/keys/cmk", naming)])
def test_a_version_of_another_key_is_never_moved_to(kid: str, ending: str, spoil: Callable[[str], Spoil]) -> None:
    async def story(azure: Azure) -> None:
        spoiling(azure, ending, spoil(kid))
        (report,) = await azure.check(USER)
        assert report.reasons == (Reason.SERVICE_UNAVAILABLE,)
        assert azure.calls("write") == []
        azure.world.hooks = Hooks()
        await azure.drain(until=timedelta(minutes=1))
        assert azure.in_use(USER) == MID

    on_azure(estate(USER), story)


@pytest.mark.parametrize("kid", [*OTHERS, f"{KEY.url}/{OLD}"])
def test_what_another_version_is_made_of_says_nothing(kid: str) -> None:
    async def story(azure: Azure) -> None:
        spoiling(azure, f"/{MID}", naming(kid))
        with pytest.raises(TryLater) as refused:
            await azure.app.context.ports.keys.material(KEY, MID)
        assert refused.value.reason is Reason.SERVICE_UNAVAILABLE

    on_azure(estate(USER), story)


def test_what_a_version_may_be_used_for_is_read_anew_when_the_version_was_changed() -> None:
    async def story(azure: Azure) -> None:
        keys, key = azure.app.context.ports.keys, azure.world.keyring.get("kv-main", "cmk")
        assert key is not None
        assert "wrapKey" in (await keys.material(KEY, OLD)).operations
        (old,) = (one for one in key.versions if one.version == OLD)
        old.operations, old.updated = ("sign",), azure.world.now()
        await keys.history(KEY, not_older_than=azure.time.now())
        assert (await keys.material(KEY, OLD)).operations == {"sign"}

    on_azure(estate(USER), story)


def test_a_key_that_backs_a_certificate_gets_no_version_whoever_asks() -> None:
    async def story(azure: Azure) -> None:
        ports = azure.app.context.ports
        with pytest.raises(Refusal) as refused:
            await ports.keys.new_version(KEY, if_latest_is=MID, if_on=ports.switch)
        assert refused.value.reason is Reason.KEY_BACKS_CERTIFICATE
        assert [one.url for one in azure.world.log if one.method == "POST" and "/rotate" in one.url] == []

    described = estate(USER)
    described["keys"]["kv-main"][0]["managed"] = True
    on_azure(described, story)


def test_one_version_that_a_certificate_owns_makes_the_key_a_certificate_s() -> None:
    async def story(azure: Azure) -> None:
        def owned(body: Any) -> Any:
            first, *rest = body["value"]
            return {**body, "value": [{**first, "managed": True}, *rest]}

        spoiling(azure, "/versions", owned)
        (report,) = await azure.check(USER)
        assert report.reasons == (Reason.KEY_BACKS_CERTIFICATE,)
        assert azure.calls("write") == []

    on_azure(estate(USER), story)


def test_a_version_that_does_not_say_that_it_is_enabled_is_not_moved_to() -> None:
    async def story(azure: Azure) -> None:
        def silent(body: Any) -> Any:
            for one in body["value"]:
                if MID in one["kid"]:
                    del one["attributes"]["enabled"]
            return body

        spoiling(azure, "/versions", silent)
        await azure.check(USER)
        assert azure.calls("write") == []
        assert azure.in_use(USER) == OLD

    on_azure(estate(USER), story)


def test_a_zero_in_front_of_a_modulus_makes_no_key_longer() -> None:
    async def story(azure: Azure) -> None:
        keys = azure.app.context.ports.keys
        bits = (await keys.material(KEY, OLD)).bits

        def padded(body: Any) -> Any:
            written = body["key"]["n"]
            n = urlsafe_b64decode(written + "=" * (-len(written) % 4))
            return {**body, "key": {**body["key"], "n": urlsafe_b64encode(b"\0" + n).decode().rstrip("=")}}

        spoiling(azure, f"/{MID}", padded)
        assert (await keys.material(KEY, MID)).bits == bits

    on_azure(estate(USER), story)


@pytest.mark.parametrize("status", [400, 409, 429, 500])
def test_which_version_is_the_latest_is_guessed_only_where_it_may_not_be_read(status: int) -> None:
    odd = Answer.of({"error": {"code": "Odd", "message": "no"}}, status)

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=lambda call: odd if call.path.endswith("/keys/cmk") else None)
        (report,) = await azure.check(USER)
        assert report.wrote == ()
        assert azure.calls("write") == []

    on_azure(estate(USER), story)


@pytest.mark.parametrize("host", ["kv-evil.vault.azure.net", "kv-main.vault.azure.net.evil.example"])
def test_a_vaults_next_page_is_asked_of_that_vault_or_of_nobody(host: str) -> None:
    link = f"https://{host}/keys/cmk/versions?api-version=7.6"

    async def story(azure: Azure) -> None:
        spoiling(azure, "/versions", lambda body: {**body, "nextLink": link})
        with pytest.raises(Refusal) as refused:
            await azure.app.context.ports.keys.history(KEY, not_older_than=azure.time.now())
        assert refused.value.reason is Reason.FOREIGN_HOST
        assert [one.url for one in azure.world.log if "evil" in one.url] == []

    on_azure(estate(USER), story)


def test_resource_managers_word_about_another_key_is_not_taken_either() -> None:
    closed = {"networkAcls": {"defaultAction": "Deny", "bypass": "AzureServices"}}

    def other(body: Any) -> Any:
        return json.loads(json.dumps(body).replace("/keys/cmk/", "/keys/other/"))

    async def story(azure: Azure) -> None:
        spoiling(azure, "/versions", other, "management.azure.com")
        with pytest.raises(Refusal) as refused:
            await azure.app.context.ports.keys.history(KEY, not_older_than=azure.time.now())
        assert refused.value.reason is Reason.VAULT_FORBIDDEN

    described = estate(USER)
    next(one for one in described["resources"] if one["name"] == "kv-main")["properties"] |= closed
    on_azure(described, story)


def test_keys_that_are_not_there_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_keys, "_MOST_REMEMBERED", 5)

    async def story(azure: Azure) -> None:
        known: Any = azure.app.context.ports.keys
        for number in range(20):
            with pytest.raises(NotThere):
                await known.history(KeyId("kv-main.vault.azure.net", f"no{number}"), not_older_than=START)
        assert len(known._locks) <= 6  # noqa: SLF001  what is held for each key asked about is nobody else's business

    on_azure(estate(), story)


def test_a_key_that_is_being_asked_about_keeps_its_turn_however_many_other_keys_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else two wishes at once would make two versions."""
    monkeypatch.setattr(vault_keys, "_MOST_REMEMBERED", 1)

    async def story(azure: Azure) -> None:
        ports = azure.app.context.ports

        async def rotated() -> bool:
            try:
                return bool(await ports.keys.new_version(KEY, if_latest_is=MID, if_on=ports.switch))
            except Refusal:
                return False

        async def others() -> None:
            for number in range(3):
                with pytest.raises(NotThere):
                    await ports.keys.history(KeyId(KEY.host, f"k{number}"), not_older_than=azure.time.now())

        first = asyncio.create_task(rotated())
        await asyncio.sleep(0)
        await others()
        made = await asyncio.gather(first, rotated())
        assert sum(made) == 1

    on_azure(estate(USER), story)
