"""How Event Grid writes things on the wire: events, headers, the handshake, dead letters [events.md 1 to 3]."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from sandbox.eventgrid.subscriptions import Delivery, Subscription
from sandbox.wire import Json
from sandbox.world import Event, World

GRID_JSON = "application/json; charset=utf-8"
CLOUD_JSON = "application/cloudevents+json; charset=utf-8"
CLOUD_BATCH = "application/cloudevents-batch+json; charset=utf-8"
ORIGIN = "eventgrid.azure.net"


def stamp(moment: datetime) -> str:
    """Return a time as .NET writes it: UTC, seven digits of a second, Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def written(event: Event, schema: str) -> Json:
    """Return the event in a schema."""
    if schema == "CloudEventSchemaV1_0":
        return {
            "id": event.id,
            "source": event.topic,
            "subject": event.subject,
            "type": event.type,
            "time": stamp(event.time),
            "data": event.data,
            "specversion": "1.0",
        }
    return {
        "id": event.id,
        "topic": event.topic,
        "subject": event.subject,
        "eventType": event.type,
        "data": event.data,
        "dataVersion": event.data_version,
        "metadataVersion": "1",
        "eventTime": stamp(event.time),
    }


def notification(batch: Sequence[Delivery]) -> tuple[dict[str, str], bytes]:
    """Return headers and body that carry deliveries to their one subscription: an array, or one CloudEvent."""
    first = batch[0]
    subscription = first.subscription
    events = [written(one.event, subscription.schema) for one in batch]
    headers = _headers(subscription, "Notification", first.attempts) | {"aeg-output-event-id": first.event.id}
    if subscription.schema == "EventGridSchema":
        versions = {"aeg-metadata-version": "1", "aeg-data-version": first.event.data_version}
        return headers | versions | {"Content-Type": GRID_JSON}, json.dumps(events).encode()
    headers["aeg-metadata-version"] = "1.0"
    if subscription.batch > 1:
        return headers | {"Content-Type": CLOUD_BATCH}, json.dumps(events).encode()
    return headers | {"Content-Type": CLOUD_JSON}, json.dumps(events[0]).encode()


def validation(world: World, subscription: Subscription, code: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the Event Grid schema's handshake."""
    name = subscription.name.lower()
    event = {
        "id": world.new_id(),
        "topic": subscription.source,
        "subject": "",
        "data": {
            "validationCode": code,
            "validationUrl": f"https://rp-sandbox.eventgrid.azure.net:553/eventsubscriptions/{name}/validate?id={code}",
        },
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": stamp(world.now()),
        "metadataVersion": "1",
        "dataVersion": "1",
    }
    headers = _headers(subscription, "SubscriptionValidation", 0)
    headers |= {"aeg-metadata-version": "1", "aeg-data-version": "1", "Content-Type": GRID_JSON}
    return headers, json.dumps([event]).encode()


def dead_letter(world: World, delivery: Delivery) -> Json:
    """Return {"path", "events"}: the blob's path inside its container, and its content, an array of one event."""
    event = written(delivery.event, delivery.subscription.schema)
    extra = {
        "deadLetterReason": delivery.dead,
        "deliveryAttempts": delivery.attempts,
        "lastDeliveryOutcome": delivery.outcome,
        "publishTime": stamp(delivery.event.time),
        "lastDeliveryAttemptTime": stamp(datetime.fromtimestamp(delivery.last_attempt, UTC)),
    }
    if delivery.subscription.schema == "CloudEventSchemaV1_0":
        extra = {name.lower(): value for name, value in extra.items()}
    now = world.now()
    folder = f"{delivery.subscription.name.upper()}/{now.year}/{now.month}/{now.day}/{now.hour}"
    return {"path": f"{folder}/{world.new_id()}.json", "events": [event | extra]}


def _headers(subscription: Subscription, kind: str, attempts: int) -> dict[str, str]:
    name = subscription.name.upper()
    return {"aeg-subscription-name": name, "aeg-delivery-count": str(attempts), "aeg-event-type": kind}
