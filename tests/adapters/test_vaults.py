"""Which vaults are known: the index proposes, Resource Manager confirms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sandbox.wire import Answer, Call
from sandbox.world import Hooks
from shared.domain.reasons import Reason
from tests.support.azure import Azure, account, estate, on_azure, vault

HOST = "kv-main.vault.azure.net"
USER = account("st1")


def shown(uri: str) -> dict[str, Any]:
    """Return the vault as one that was made anew, and has another host."""
    return vault(vaultUri=uri)


@pytest.mark.parametrize(
    "told",
    [
        lambda: Answer.of({"error": {"code": "ResourceNotFound", "message": "gone"}}, 404),
        lambda: Answer.of(shown("https://kv-anew.vault.azure.net/")),
        lambda: Answer.of(shown(f"https://{HOST}.evil.example/")),
    ],
    ids=["gone", "made anew", "a look-alike"],
)
def test_a_vault_that_only_the_index_shows_is_not_asked(told: Callable[[], Answer]) -> None:
    def answering(call: Call) -> Answer | None:
        asked = call.host == "management.azure.com" and call.path.endswith("/vaults/kv-main")
        return told() if asked else None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=answering)
        (report,) = await azure.check(USER)
        assert report.reasons == (Reason.VAULT_NOT_KNOWN,)
        assert azure.calls("vault", "write") == []
        assert await azure.app.context.ports.vaults.settings(HOST) is None

    on_azure(estate(USER), story)


def becomes_another_one(azure: Azure) -> None:
    """From now on the vault of this id is another one."""

    def answering(call: Call) -> Answer | None:
        asked = call.host == "management.azure.com" and call.path.endswith("/vaults/kv-main")
        return Answer.of(shown("https://kv-anew.vault.azure.net/")) if asked else None

    azure.world.hooks = Hooks(before=answering)


def test_a_vault_of_another_host_lends_its_settings_to_none() -> None:
    """The vault was confirmed a moment ago and is another one by now."""

    async def story(azure: Azure) -> None:
        vaults = azure.app.context.ports.vaults
        assert await vaults.settings(HOST) is not None
        becomes_another_one(azure)
        assert await vaults.settings(HOST) is None

    on_azure(estate(USER), story)


@pytest.mark.parametrize(
    "host", ["kv.evil.example", "kv-main.vault.azure.net.evil.example", "kv-main.vault.azure.net."]
)
def test_no_setting_makes_a_host_outside_the_cloud_a_vault(host: str) -> None:
    async def story(azure: Azure) -> None:
        assert await azure.app.context.ports.vaults.by_host(host) is None

    on_azure(estate(USER), story, environ={"CMK_VAULTS": "*"})


def test_a_vault_that_is_not_what_it_was_is_found_out_within_minutes() -> None:
    async def story(azure: Azure) -> None:
        vaults = azure.app.context.ports.vaults
        assert await vaults.by_host(HOST) is not None
        becomes_another_one(azure)
        await asyncio.sleep(660)
        assert await vaults.by_host(HOST) is None
        assert await vaults.by_id(str(vault()["id"])) is None
        assert await vaults.id_of(HOST) == ""

    on_azure(estate(USER), story)


@pytest.mark.parametrize("uri", ["https://kv-anew.vault.azure.net/", f"https://{HOST}.evil.example/"])
def test_a_vault_that_a_rule_places_is_not_known_by_a_host_that_resource_manager_does_not_show(uri: str) -> None:
    def answering(call: Call) -> Answer | None:
        asked = call.host == "management.azure.com" and call.path.endswith("/vaults/kv-main")
        return Answer.of(shown(uri)) if asked else None

    async def story(azure: Azure) -> None:
        azure.world.hooks = Hooks(before=answering)
        vaults = azure.app.context.ports.vaults
        assert await vaults.at(str(vault()["id"])) is None
        assert await vaults.by_host(HOST) is None

    on_azure(estate(USER), story)
