import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.eventgrid import EventGridEvent
from azure.eventgrid.aio import EventGridPublisherClient

from sandbox import virtual
from sandbox.clock import ManualClock
from sandbox.cloud import Cloud, Site
from sandbox.eventgrid import topics
from sandbox.eventgrid.delivery import Pump, Reply
from sandbox.eventgrid.subscriptions import Rule, Subscription, Subscriptions, of_type
from sandbox.keyring import Key, KeyVersion
from sandbox.transport import InProcessTransport
from sandbox.virtual import VirtualClock
from sandbox.world import World

NOW = datetime(2026, 11, 2, 7, 5, 3, 123456, tzinfo=UTC)
SUBSCRIPTION = "/subscriptions/11111111-1111-1111-1111-111111111111"
VAULT = f"{SUBSCRIPTION}/resourceGroups/rg1/providers/Microsoft.KeyVault/vaults/kv-one"
CREATED = "Microsoft.KeyVault.KeyNewVersionCreated"
HOOK = "http://127.0.0.1:7071/runtime/webhooks/eventgrid?functionName=on_event&code=k"
FUNCTION = "azurefunction:on_event"


@dataclass
class Endpoint:
    """What an event subscription sends to: answers the given statuses one after the other, then the last for ever."""

    statuses: list[int] = field(default_factory=lambda: [200])
    got: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    at: list[datetime] = field(default_factory=list)
    world: World = field(default_factory=lambda: World(clock=ManualClock(NOW)))

    async def post(self, _endpoint: str, headers: Mapping[str, str], body: bytes) -> int:
        """Take a delivery."""
        await asyncio.sleep(0)
        self.got.append((dict(headers), json.loads(body)))
        self.at.append(self.world.now())
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def pump(self, *rows: dict[str, Any]) -> Pump:
        """Return a pump that delivers here."""
        Subscriptions.of(self.world).load(rows or [{"source": VAULT, "endpoint": FUNCTION}])
        return Pump(self.world, self.post)

    def emit(self, subject: str = "cmk", type_: str = CREATED, topic: str = VAULT) -> None:
        """Let something happen."""
        self.world.emit(topic, subject, type_, {"ObjectName": subject, "NBF": None})


def test_an_event_arrives_as_an_array_of_one_with_event_grid_s_headers() -> None:
    endpoint = Endpoint()
    pump = endpoint.pump({"name": "keys", "source": VAULT.upper(), "endpoint": FUNCTION, "schema": "EventGridSchema"})
    endpoint.emit()
    counts = asyncio.run(pump.drain())
    assert (counts.delivered, counts.failed) == (1, 0)
    headers, body = endpoint.got[0]
    assert headers == {
        "aeg-subscription-name": "KEYS",
        "aeg-delivery-count": "0",
        "aeg-event-type": "Notification",
        "aeg-metadata-version": "1",
        "aeg-data-version": "1",
        "aeg-output-event-id": body[0]["id"],
        "Content-Type": "application/json; charset=utf-8",
    }
    assert body == [
        {
            "id": body[0]["id"],
            "topic": VAULT,
            "subject": "cmk",
            "eventType": CREATED,
            "data": {"ObjectName": "cmk", "NBF": None},
            "dataVersion": "1",
            "metadataVersion": "1",
            "eventTime": "2026-11-02T07:05:03.1234560Z",
        }
    ]


def test_a_cloud_event_arrives_alone() -> None:
    endpoint = Endpoint()
    pump = endpoint.pump({"source": VAULT, "endpoint": FUNCTION, "schema": "CloudEventSchemaV1_0"})
    endpoint.emit()
    asyncio.run(pump.drain())
    headers, body = endpoint.got[0]
    assert headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert body == {
        "id": body["id"],
        "source": VAULT,
        "subject": "cmk",
        "type": CREATED,
        "time": "2026-11-02T07:05:03.1234560Z",
        "data": {"ObjectName": "cmk", "NBF": None},
        "specversion": "1.0",
    }


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"source": VAULT}, ["cmk-a", "CMK-b"]),
        ({"source": SUBSCRIPTION}, ["cmk-a", "CMK-b", "other"]),
        ({"source": f"{SUBSCRIPTION}/resourcegroups/RG1/"}, ["cmk-a", "CMK-b", "other"]),
        ({"source": f"{SUBSCRIPTION}/resourceGroups/rg"}, []),
        ({"source": VAULT, "includedEventTypes": ["microsoft.keyvault.keynewversioncreated"]}, ["cmk-a"]),
        ({"source": SUBSCRIPTION, "subjectBeginsWith": "cmk-"}, ["cmk-a", "CMK-b"]),
        ({"source": SUBSCRIPTION, "subjectEndsWith": "-B"}, ["CMK-b"]),
    ],
)
def test_a_subscription_gets_what_lies_at_or_below_its_source(row: dict[str, Any], wanted: list[str]) -> None:
    endpoint = Endpoint()
    pump = endpoint.pump({"endpoint": FUNCTION} | row)
    endpoint.emit("cmk-a")
    endpoint.emit("CMK-b", "Microsoft.KeyVault.KeyExpired")
    endpoint.emit("other", topic=VAULT.replace("kv-one", "kv-one-two"))
    asyncio.run(pump.drain())
    assert [body[0]["subject"] for _, body in endpoint.got] == wanted


def test_a_resource_group_hears_of_its_resources_although_the_topic_is_the_subscription() -> None:
    row = Subscription.of({"source": f"{SUBSCRIPTION}/resourceGroups/rg1", "endpoint": FUNCTION}, 1)
    endpoint = Endpoint()
    heard: list[bool] = []
    endpoint.world.event_listeners.append(lambda event: heard.append(row.wants(event)))
    endpoint.emit(f"{SUBSCRIPTION}/resourcegroups/RG1/providers/A.B/cs/d", topic=SUBSCRIPTION)
    endpoint.emit(f"{SUBSCRIPTION}/resourceGroups/rg2/providers/A.B/cs/d", topic=SUBSCRIPTION)
    assert heard == [True, False]


@pytest.mark.parametrize("row", [{"endpoint": "x"}, {"source": "x"}, {"source": "x", "endpoint": "y", "schema": "Z"}])
def test_rows_that_cannot_be_read_are_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="event subscription 1"):
        Subscriptions.of(World()).load([row])


def test_failures_are_tried_again_by_the_schedule_until_the_dead_letter() -> None:
    async def main(clock: VirtualClock) -> Endpoint:
        endpoint = Endpoint(statuses=[500], world=World(clock=clock))
        pump = endpoint.pump()
        endpoint.emit()
        running = asyncio.create_task(pump.run())
        await asyncio.sleep(3 * 24 * 3600)
        running.cancel()
        await asyncio.wait([running])
        return endpoint

    endpoint = virtual.run(main)
    waits = [(later - earlier).total_seconds() for earlier, later in zip(endpoint.at, endpoint.at[1:], strict=False)]
    for wait, planned in zip(waits, [10, 30, 60, 300, 600, 1800] + [3600] * 18, strict=False):
        assert planned <= wait <= planned * 1.1 + 1
    assert [headers["aeg-delivery-count"] for headers, _ in endpoint.got[:3]] == ["0", "1", "2"]
    letters = endpoint.world.memory["deadLetters"]
    assert len(letters) == 1
    event = letters[0]["events"][0]
    assert (event["deadLetterReason"], event["lastDeliveryOutcome"]) == ("TimeToLiveExceeded", "GenericError")
    assert event["deliveryAttempts"] == len(endpoint.got)


@pytest.mark.parametrize(
    ("endpoint_name", "status", "again", "outcome"),
    [
        (FUNCTION, 400, False, "BadRequest"),
        (FUNCTION, 413, False, "PayloadTooLarge"),
        (FUNCTION, 401, True, "Unauthorized"),
        (HOOK, 401, False, "Unauthorized"),
        (HOOK, 403, False, "Forbidden"),
        (HOOK, 404, True, "NotFound"),
    ],
)
def test_some_answers_are_not_tried_again(endpoint_name: str, status: int, *, again: bool, outcome: str) -> None:
    endpoint = Endpoint(statuses=[200, status] if endpoint_name == HOOK else [status])
    pump = endpoint.pump({"name": "Sub-a", "source": VAULT, "endpoint": endpoint_name})
    asyncio.run(pump.drain())
    endpoint.got.clear()
    endpoint.emit()
    for _ in range(2):
        asyncio.run(pump.drain())
        endpoint.world.clock.shift(timedelta(minutes=6))
    asyncio.run(pump.drain())
    assert (len(endpoint.got) > 1) == again
    letters = endpoint.world.memory.get("deadLetters", [])
    if again:
        assert letters == []
        return
    assert letters[0]["path"].startswith("SUB-A/2026/11/2/7/")
    event = letters[0]["events"][0]
    assert event["deadLetterReason"] == f"UndeliverableDueToHttp{outcome}"
    assert list(event)[-5:] == [
        "deadLetterReason",
        "deliveryAttempts",
        "lastDeliveryOutcome",
        "publishTime",
        "lastDeliveryAttemptTime",
    ]


def test_a_dead_cloud_event_has_its_fields_in_lower_case() -> None:
    endpoint = Endpoint(statuses=[400])
    pump = endpoint.pump({"source": VAULT, "endpoint": FUNCTION, "schema": "CloudEventSchemaV1_0"})
    endpoint.emit()
    asyncio.run(pump.drain())
    endpoint.world.clock.shift(timedelta(minutes=5))
    assert asyncio.run(pump.drain()).dead == 1
    event = endpoint.world.memory["deadLetters"][0]["events"][0]
    assert list(event)[-5:] == [
        "deadletterreason",
        "deliveryattempts",
        "lastdeliveryoutcome",
        "publishtime",
        "lastdeliveryattempttime",
    ]


def test_a_broken_connection_is_a_failed_attempt() -> None:
    endpoint = Endpoint()
    pump = endpoint.pump()
    endpoint.emit()
    calls: list[str] = []

    async def broken(where: str, _headers: Mapping[str, str], _body: bytes) -> int:
        calls.append(where)
        raise ConnectionResetError

    again = Pump(endpoint.world, broken)
    assert asyncio.run(again.drain()).failed == 1
    assert calls == [FUNCTION]
    endpoint.world.clock.shift(timedelta(seconds=11))
    assert asyncio.run(pump.drain()).delivered == 1


def test_batches_carry_as_many_events_as_the_subscription_allows() -> None:
    endpoint = Endpoint()
    pump = endpoint.pump({"source": VAULT, "endpoint": FUNCTION, "maxEventsPerBatch": 3})
    for number in range(7):
        endpoint.emit(f"key-{number}")
    assert asyncio.run(pump.drain()).delivered == 7
    assert [len(body) for _, body in endpoint.got] == [3, 3, 1]


def test_events_can_be_doubled_delayed_and_lost_by_script() -> None:
    endpoint = Endpoint()
    pump = endpoint.pump()
    pump.duplicate(lambda event: event.subject == "twice", apart=60)
    pump.delay(lambda event: event.subject == "late", 300)
    pump.drop(lambda event: event.subject == "lost")
    pump.subscriptions.rules.append(Rule(of_type("microsoft.keyvault.KeyExpired"), copies=3))
    for subject in ("twice", "twice", "late", "lost"):
        endpoint.emit(subject)
    endpoint.emit("thrice", "Microsoft.KeyVault.KeyExpired")
    assert asyncio.run(pump.drain()).delivered == 5
    endpoint.world.clock.shift(timedelta(minutes=5))
    asyncio.run(pump.drain())
    subjects = [body[0]["subject"] for _, body in endpoint.got]
    assert subjects == ["twice", "twice", "thrice", "thrice", "thrice", "twice", "late"]
    assert endpoint.got[0][1][0]["id"] == endpoint.got[5][1][0]["id"]
    assert (pump.totals.duplicates, pump.subscriptions.dropped) == (3, 1)


def test_an_event_of_the_past_can_be_delivered_again() -> None:
    endpoint = Endpoint()
    pump = endpoint.pump()
    endpoint.emit()
    asyncio.run(pump.drain())
    pump.duplicate(endpoint.got[0][1][0]["id"])
    counts = asyncio.run(pump.drain())
    assert (counts.delivered, counts.duplicates) == (1, 1)
    assert endpoint.got[0][1] == endpoint.got[1][1]


def test_a_webhook_must_echo_the_code_before_it_gets_events() -> None:
    endpoint = Endpoint()
    codes: list[str] = []
    patient = iter([False, True])

    async def ask(method: str, where: str, headers: Mapping[str, str], body: bytes) -> Reply:
        event = json.loads(body)[0]
        codes.append(event["data"]["validationCode"])
        assert (method, where, headers["aeg-event-type"]) == ("POST", HOOK, "SubscriptionValidation")
        assert event["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent"
        response = {"validationResponse": codes[-1]} if next(patient) else {}
        return Reply(200, {}, json.dumps(response).encode())

    Subscriptions.of(endpoint.world).load([{"source": VAULT, "endpoint": HOOK}])
    pump = Pump(endpoint.world, endpoint.post, ask)
    endpoint.emit()
    assert asyncio.run(pump.drain()).delivered == 0
    endpoint.world.clock.shift(timedelta(seconds=10))
    assert asyncio.run(pump.drain()).delivered == 1
    assert len(set(codes)) == 2


@pytest.mark.parametrize(
    ("status", "allowed", "delivered"), [(200, "eventgrid.azure.net", 1), (200, "*", 1), (200, "", 0), (404, "*", 0)]
)
def test_a_cloud_event_webhook_must_allow_event_grid(status: int, allowed: str, delivered: int) -> None:
    endpoint = Endpoint()

    async def ask(method: str, _where: str, headers: Mapping[str, str], _body: bytes) -> Reply:
        assert (method, headers["WebHook-Request-Origin"]) == ("OPTIONS", "eventgrid.azure.net")
        return Reply(status, {"webhook-allowed-origin": allowed}, b"")

    row = {"source": VAULT, "endpoint": HOOK, "schema": "CloudEventSchemaV1_0"}
    Subscriptions.of(endpoint.world).load([row])
    endpoint.emit()
    assert asyncio.run(Pump(endpoint.world, endpoint.post, ask).drain()).delivered == delivered


def test_the_pump_lets_keys_expire_by_the_virtual_clock() -> None:
    async def main(clock: VirtualClock) -> list[tuple[str, int]]:
        world = World(clock=clock)
        endpoint = Endpoint(world=world)
        begin = clock.now()
        world.resources.put({"id": VAULT, "name": "kv-one", "type": "Microsoft.KeyVault/vaults", "properties": {}})
        version = KeyVersion("0" * 32, begin, begin, expires=begin + timedelta(days=40))
        world.keyring.add(Key("kv-one", "cmk", versions=[version]))
        running = asyncio.create_task(endpoint.pump().run())
        await asyncio.sleep(60 * 24 * 3600)
        running.cancel()
        await asyncio.wait([running])
        return [
            (body[0]["eventType"], (at - begin).days) for at, (_, body) in zip(endpoint.at, endpoint.got, strict=True)
        ]

    assert virtual.run(main) == [("Microsoft.KeyVault.KeyNearExpiry", 10), ("Microsoft.KeyVault.KeyExpired", 40)]


def test_a_shift_of_the_clock_is_noticed_by_a_running_pump() -> None:
    endpoint = Endpoint(statuses=[503, 200])

    async def main() -> None:
        arrived = asyncio.Event()

        async def post(where: str, headers: Mapping[str, str], body: bytes) -> int:
            status = await endpoint.post(where, headers, body)
            if status == 200:
                arrived.set()
            return status

        Subscriptions.of(endpoint.world).load([{"source": VAULT, "endpoint": FUNCTION}])
        pump = Pump(endpoint.world, post)
        running = asyncio.create_task(pump.run())
        endpoint.emit()
        await asyncio.sleep(0.05)
        endpoint.world.clock.shift(timedelta(minutes=1))
        async with asyncio.timeout(5):
            await arrived.wait()
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        assert (pump.totals.failed, pump.totals.delivered) == (1, 1)

    asyncio.run(main())


def test_what_was_on_its_way_in_a_loop_that_died_goes_out_again() -> None:
    endpoint = Endpoint()
    pump = endpoint.pump()
    endpoint.emit()
    dead = asyncio.new_event_loop()

    async def start() -> None:
        never = asyncio.Event()

        async def hang(_endpoint: str, _headers: Mapping[str, str], _body: bytes) -> int:
            await never.wait()
            return 200

        pump._post = hang  # noqa: SLF001  the crash of a process in the middle of a delivery
        task = asyncio.create_task(pump.drain())
        await asyncio.sleep(0.01)
        graveyard.extend([task, *pump._flying])  # noqa: SLF001

    graveyard: list[Any] = []
    dead.run_until_complete(start())
    pump._post = endpoint.post  # noqa: SLF001
    assert asyncio.run(pump.drain()).delivered == 1
    for task in graveyard:
        task.cancel()
    dead.run_until_complete(asyncio.wait(graveyard))
    dead.close()


def test_ten_thousand_events_are_delivered_in_seconds() -> None:
    endpoint = Endpoint()
    pump = endpoint.pump()
    for number in range(10_000):
        endpoint.emit(f"key-{number}")
    assert asyncio.run(pump.drain()).delivered == 10_000


def test_a_topic_keeps_what_the_real_client_publishes() -> None:
    world = World()
    site = Site((".eventgrid.azure.net",), topics.answer, lambda _: "topic")
    transport = InProcessTransport(Cloud(world, (site,)))
    host = "outcomes.westeurope-1.eventgrid.azure.net"

    async def main() -> None:
        key = AzureKeyCredential("a key")
        async with EventGridPublisherClient(f"https://{host}/api/events", key, transport=transport) as client:
            await client.send(EventGridEvent("subject", "Cmk.Done", {"a": 1}, "1"))
            with pytest.raises(HttpResponseError):
                await client.send([{"id": "1"}])

    asyncio.run(main())
    assert [event["eventType"] for event in topics.received(world, host)] == ["Cmk.Done"]


def test_a_function_may_be_named_by_its_resource_id_as_azure_does() -> None:
    site = f"{SUBSCRIPTION}/resourceGroups/rg1/providers/Microsoft.Web/sites/cmk-autopilot"
    row = {"source": VAULT, "endpoint": f"{site}/functions/on_event"}
    assert Subscription.of(row, 1).endpoint == FUNCTION
    assert Subscription.of(row, 1).active
