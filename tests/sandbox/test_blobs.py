"""Azure's blob storage as azure-storage-blob meets it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError
from azure.identity.aio import ClientSecretCredential
from azure.storage.blob.aio import BlobServiceClient, ContainerClient

from sandbox import blobs, identity
from sandbox.clock import ManualClock
from sandbox.cloud import Cloud, Site
from sandbox.estate import EstateError, build_world
from sandbox.transport import InProcessTransport
from sandbox.wire import Call
from sandbox.world import World

ACCOUNT = "https://proofs.blob.core.windows.net"
KEY = AzureNamedKeyCredential("proofs", "c2FuZGJveA==")
SIGNED = {"authorization": "SharedKey proofs:x"}
NOW = datetime(2026, 11, 2, tzinfo=UTC)


def _cloud(world: World) -> Cloud:
    sites = (
        Site((".blob.core.windows.net",), blobs.answer, lambda _: "blob"),
        Site(("login.microsoftonline.com",), identity.answer, lambda _: "identity"),
    )
    return Cloud(world, sites)


def _code(refused: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str]:
    code = getattr(refused.value, "error_code", "")
    return refused.value.status_code, str(getattr(code, "value", code))


def _with_container(
    main: Callable[[ContainerClient, World], Awaitable[None]], *, immutable: bool = False, name: str = "proofs"
) -> None:
    async def run() -> None:
        world = build_world({"immutable": [f"proofs/{name}"] if immutable else []}, clock=ManualClock(NOW))
        transport = InProcessTransport(_cloud(world))
        async with ContainerClient(ACCOUNT, name, credential=KEY, transport=transport, retry_total=0) as container:
            if not immutable:
                await container.create_container()
            await main(container, world)

    asyncio.run(run())


def test_an_append_blob_grows_block_by_block_and_can_be_read_whole_or_in_part() -> None:
    async def main(container: ContainerClient, world: World) -> None:
        blob = container.get_blob_client("a day/one & two.jsonl")
        made = await blob.create_append_blob()
        world.clock.shift(timedelta(minutes=1))
        first = await blob.append_block(b"one\n")
        second = await blob.append_block(b"two\n", appendpos_condition=4, maxsize_condition=8)
        assert (first["blob_append_offset"], second["blob_append_offset"]) == ("0", "4")
        assert second["blob_committed_block_count"] == 2
        assert len({made["etag"], first["etag"], second["etag"]}) == 3
        assert await (await blob.download_blob()).readall() == b"one\ntwo\n"
        assert await (await blob.download_blob(offset=2, length=3)).readall() == b"e\nt"
        found = await blob.get_blob_properties()
        assert (found.size, found.blob_type, found.append_blob_committed_block_count) == (8, "AppendBlob", 2)
        assert found.last_modified == NOW + timedelta(minutes=1)
        assert (await container.get_blob_client("empty").upload_blob(b""))["etag"]
        assert await (await container.download_blob("empty")).readall() == b""

    _with_container(main)


def test_an_append_whose_condition_does_not_hold_changes_nothing() -> None:
    async def main(container: ContainerClient, _: World) -> None:
        blob = container.get_blob_client("log")
        before = await blob.create_append_blob()
        await blob.append_block(b"one\n")
        for condition, code in (
            ({"appendpos_condition": 0}, "AppendPositionConditionNotMet"),
            ({"maxsize_condition": 7}, "MaxBlobSizeConditionNotMet"),
            ({"etag": before["etag"], "match_condition": MatchConditions.IfNotModified}, "ConditionNotMet"),
        ):
            with pytest.raises(HttpResponseError) as refused:
                await blob.append_block(b"two\n", **condition)
            assert _code(refused) == (412, code)
        assert await (await blob.download_blob()).readall() == b"one\n"

    _with_container(main)


def test_a_blob_takes_fifty_thousand_blocks_and_no_more() -> None:
    async def main(container: ContainerClient, world: World) -> None:
        blob = container.get_blob_client("log")
        await blob.create_append_blob()
        blobs.containers(world, "proofs")["proofs"].blobs["log"].blocks = blobs.MOST_BLOCKS - 1
        await blob.append_block(b"the last\n")
        with pytest.raises(HttpResponseError) as refused:
            await blob.append_block(b"one too many\n")
        assert _code(refused) == (409, "BlockCountExceedsLimit")

    _with_container(main)


def test_a_block_of_an_older_api_version_is_4_mib_at_most() -> None:
    world = World(clock=ManualClock(NOW))
    door = _cloud(world)
    door.answer(Call("PUT", f"{ACCOUNT}/proofs?restype=container", SIGNED))
    door.answer(Call("PUT", f"{ACCOUNT}/proofs/log", {**SIGNED, "x-ms-blob-type": "AppendBlob"}))
    for version, size, status in (("2021-08-06", 4, 201), ("2021-08-06", 5, 413), ("2022-11-02", 5, 201)):
        call = Call("PUT", f"{ACCOUNT}/proofs/log?comp=appendblock", {**SIGNED, "x-ms-version": version})
        assert door.answer(Call(call.method, call.url, call.headers, bytes(size * 2**20))).status == status


def test_only_an_append_blob_is_appended_to_and_only_with_something() -> None:
    async def main(container: ContainerClient, world: World) -> None:
        await container.upload_blob("block", b"whole")
        with pytest.raises(HttpResponseError) as refused:
            await container.get_blob_client("block").append_block(b"more")
        assert _code(refused) == (409, "InvalidBlobType")
        blob = container.get_blob_client("log")
        await blob.create_append_blob()
        empty = Call("PUT", f"{ACCOUNT}/proofs/log?comp=appendblock", SIGNED)  # the SDK cannot send it
        assert _cloud(world).answer(empty).status == 400

    _with_container(main)


def test_a_blob_is_made_once_where_the_caller_asks_for_that() -> None:
    async def main(container: ContainerClient, _: World) -> None:
        blob = container.get_blob_client("log")
        await blob.create_append_blob(match_condition=MatchConditions.IfMissing)
        await blob.append_block(b"one\n")
        with pytest.raises(HttpResponseError) as refused:
            await blob.create_append_blob(match_condition=MatchConditions.IfMissing)
        assert _code(refused) == (409, "BlobAlreadyExists")
        assert await (await blob.download_blob()).readall() == b"one\n"
        await blob.create_append_blob()
        assert await (await blob.download_blob()).readall() == b""

    _with_container(main)


def test_a_block_blob_is_replaced_only_as_it_was_seen_and_read_only_when_it_changed() -> None:
    async def main(container: ContainerClient, _: World) -> None:
        blob = container.get_blob_client("settings.json")
        first = await blob.upload_blob(b"1")
        seen = {"etag": first["etag"], "match_condition": MatchConditions.IfNotModified}
        second = await blob.upload_blob(b"2", overwrite=True, **seen)
        with pytest.raises(ResourceModifiedError) as refused:
            await blob.upload_blob(b"3", overwrite=True, **seen)
        assert _code(refused) == (412, "ConditionNotMet")
        with pytest.raises(HttpResponseError) as same:
            await blob.download_blob(etag=second["etag"], match_condition=MatchConditions.IfModified)
        assert same.value.status_code == 304
        assert await (await blob.download_blob()).readall() == b"2"

    _with_container(main)


def test_blobs_are_listed_in_order_by_prefix_and_in_pages() -> None:
    async def main(container: ContainerClient, _: World) -> None:
        for name in ("b/2", "a/1", "b/<3>", "b/1", "c"):
            await container.upload_blob(name, name.encode())
        assert [name async for name in container.list_blob_names()] == ["a/1", "b/1", "b/2", "b/<3>", "c"]
        pages = container.list_blobs(name_starts_with="b/", results_per_page=2).by_page()
        assert [[(one.name, one.size) async for one in page] async for page in pages] == [
            [("b/1", 3), ("b/2", 3)],
            [("b/<3>", 5)],
        ]

    _with_container(main)


def test_what_is_not_there_is_told_apart_by_its_code() -> None:
    async def main(container: ContainerClient, world: World) -> None:
        with pytest.raises(ResourceNotFoundError) as no_blob:
            await container.download_blob("nothing")
        assert _code(no_blob) == (404, "BlobNotFound")
        with pytest.raises(ResourceNotFoundError):
            await container.get_blob_client("nothing").get_blob_properties()
        with pytest.raises(HttpResponseError) as again:
            await container.create_container()
        assert _code(again) == (409, "ContainerAlreadyExists")
        blobs.containers(world, "proofs").clear()
        with pytest.raises(ResourceNotFoundError) as no_container:
            await container.get_blob_client("nothing").append_block(b"x")
        assert _code(no_container) == (404, "ContainerNotFound")

    _with_container(main)


def test_a_deleted_blob_is_gone() -> None:
    async def main(container: ContainerClient, _: World) -> None:
        await container.upload_blob("one", b"1")
        await container.delete_blob("one")
        assert [name async for name in container.list_blob_names()] == []

    _with_container(main)


def test_an_immutable_container_takes_new_blobs_and_appends_and_lets_nothing_be_undone() -> None:
    async def main(container: ContainerClient, _: World) -> None:
        blob = container.get_blob_client("log")
        await blob.create_append_blob()
        await blob.append_block(b"one\n")
        await blob.append_block(b"two\n")
        for undo in (blob.delete_blob(), blob.create_append_blob(), blob.upload_blob(b"", overwrite=True)):
            with pytest.raises(HttpResponseError) as refused:
                await undo
            assert _code(refused) == (409, "BlobImmutableDueToPolicy")
        assert await (await blob.download_blob()).readall() == b"one\ntwo\n"
        assert (await container.get_container_properties()).has_immutability_policy

    _with_container(main, immutable=True)


def test_an_immutable_container_is_named_as_account_and_container() -> None:
    for wrong in ("proofs", "/proofs", "proofs/No", "proofs/a/b"):
        with pytest.raises(EstateError, match=r"^immutable"):
            build_world({"immutable": [wrong]}, clock=ManualClock(NOW))


def test_a_token_for_storage_opens_and_another_does_not() -> None:
    async def run() -> None:
        transport = InProcessTransport(_cloud(World(clock=ManualClock(NOW))))
        tenant = "22222222-2222-2222-2222-222222222222"
        async with (
            ClientSecretCredential(tenant, "an-app", "a secret", transport=transport) as credential,
            BlobServiceClient(ACCOUNT, credential=credential, transport=transport) as service,
        ):
            await service.create_container("proofs")

    asyncio.run(run())
    world = World(clock=ManualClock(NOW))
    token, _ = identity.issue(world, "an-app", "https://vault.azure.net", world.tenant_id)
    call = Call("PUT", f"{ACCOUNT}/proofs?restype=container", {"authorization": f"Bearer {token}"})
    assert _cloud(world).answer(call).status == 401


def test_without_credentials_nothing_is_told() -> None:
    answer = _cloud(World(clock=ManualClock(NOW))).answer(Call("GET", f"{ACCOUNT}/proofs/log"))
    assert (answer.status, answer.headers["x-ms-error-code"]) == (401, "NoAuthenticationInformation")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("PUT", "/proofs/log?comp=block", {}),
        ("PUT", "/proofs/log", {"x-ms-blob-type": "PageBlob"}),
        ("GET", "/proofs?restype=container&comp=list&delimiter=/", {}),
        ("DELETE", "/proofs?restype=container", {}),
        ("GET", "/?comp=list", {}),
    ],
)
def test_what_is_left_out_is_answered_501(method: str, path: str, headers: dict[str, str]) -> None:
    door = _cloud(World(clock=ManualClock(NOW)))
    door.answer(Call("PUT", f"{ACCOUNT}/proofs?restype=container", SIGNED))
    answer = door.answer(Call(method, f"{ACCOUNT}{path}", {**SIGNED, **headers}))
    assert (answer.status, answer.headers["x-ms-error-code"]) == (501, "NotInSandbox")
