"""The console: the sandbox's own control plane under http://127.0.0.1:PORT/console/, JSON in and out."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from sandbox.eventgrid import topics
from sandbox.eventgrid.subscriptions import of_type
from sandbox.https import LOOPBACK
from sandbox.keyring import Key
from sandbox.stage import Stage
from sandbox.wire import Answer, Call, Json, Refused

Extra = Callable[[], Mapping[str, Any]]
Shifted = Callable[[], Awaitable[None]]
_SPAN = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
PAGE = 1000


class Console:
    """Answers the console's calls. `exports` gives the clients' environment, `shifted` tells the app of a new time."""

    def __init__(self, stage: Stage, *, exports: Extra = dict, shifted: Shifted | None = None) -> None:
        self._stage = stage
        self._exports = exports
        self._shifted = shifted
        self._routes: dict[tuple[str, str], Callable[[Call], Awaitable[Any]]] = {
            ("GET", "state"): self._state,
            ("GET", "env"): self._env,
            ("POST", "reset"): self._reset,
            ("GET", "estate"): self._estate,
            ("POST", "estate"): self._load,
            ("GET", "clock"): self._clock,
            ("POST", "clock"): self._shift,
            ("GET", "calls"): self._calls,
            ("GET", "counts"): self._counts,
            ("GET", "faults"): self._faults,
            ("PUT", "faults"): self._put_faults,
            ("DELETE", "faults"): self._no_faults,
            ("GET", "resource"): self._resource,
            ("GET", "keys"): self._keys,
            ("GET", "outcomes"): self._outcomes,
            ("GET", "deliveries"): self._deliveries,
            ("POST", "deliveries"): self._script,
            ("GET", "deadletters"): self._dead_letters,
            ("POST", "events"): self._events,
        }

    async def answer(self, call: Call) -> Answer:
        """Answer a call to /console/...; only this machine's own programs are served, no page of another site."""
        try:
            _check_caller(call)
            verb = "/".join(call.segments[1:]) or "state"
            return Answer.of(await self._routes.get((call.method, verb), _unknown)(call))
        except Refused as refusal:
            return refusal.answer()

    async def _env(self, _: Call) -> Mapping[str, Any]:
        return self._exports()

    async def _reset(self, call: Call) -> Json:
        await self._stage.reset()
        return await self._state(call)

    async def _estate(self, _: Call) -> Json:
        return self._stage.estate

    async def _counts(self, _: Call) -> Json:
        return self._stage.log.counts()

    async def _resource(self, call: Call) -> Json:
        body = self._stage.world.resources.get(call.query.get("id", ""))
        if body is None:
            raise Refused(404, "ResourceNotFound", f"No resource {call.query.get('id', '')!r}.")
        return body

    async def _keys(self, call: Call) -> Json:
        """Show a vault's keys as they are kept, deleted ones too: each with its versions, the latest last."""
        return {"value": [_key(one) for one in self._stage.world.keyring.of(call.query.get("vault", ""))]}

    async def _outcomes(self, call: Call) -> Json:
        world = self._stage.world
        hosts = [call.query["host"]] if "host" in call.query else sorted(world.memory.get("topics", {}))
        return {"value": [event for host in hosts for event in topics.received(world, host)]}

    async def _dead_letters(self, _: Call) -> Json:
        return {"value": list(self._stage.world.memory.get("deadLetters", ()))}

    async def _deliveries(self, _: Call) -> Json:
        pump = self._stage.pump
        rows = [
            {
                "name": row.name,
                "source": row.source,
                "endpoint": row.endpoint,
                "schema": row.schema,
                "active": row.active,
            }
            for row in pump.subscriptions.rows
        ]
        waiting, dropped = pump.subscriptions.waiting(), pump.subscriptions.dropped
        return {**vars(pump.totals), "waiting": waiting, "dropped": dropped, "subscriptions": rows}

    async def _script(self, call: Call) -> Json:
        """{"do": duplicate | delay | drop, "match": event id or {"type": ...}, "seconds": n, "times": n or null}."""
        asked = _object(call)
        match = asked.get("match")
        chosen = of_type(str(match.get("type"))) if isinstance(match, dict) else str(match)
        seconds, times = float(asked.get("seconds", 0)), asked.get("times", 1)
        pump = self._stage.pump
        match asked.get("do"):
            case "duplicate":
                pump.duplicate(chosen, apart=seconds, times=times)
            case "delay":
                pump.delay(chosen, seconds, times=times)
            case "drop":
                pump.drop(chosen, times=times)
            case _:
                raise Refused(400, "InvalidScript", "do is duplicate, delay or drop.")
        return await self._deliveries(call)

    async def _state(self, _: Call) -> Json:
        stage, world = self._stage, self._stage.world
        return {
            "now": world.now().isoformat(),
            "offsetSeconds": stage.clock.offset.total_seconds(),
            "seed": stage.seed,
            "tenantId": world.tenant_id,
            "subscriptions": sorted(world.subscriptions),
            "resources": len(world.resources),
            "calls": stage.log.total,
            "faults": len(stage.faults.rules),
            "eventSubscriptions": len(stage.pump.subscriptions.rows),
            "appUrl": self._exports().get("CMK_APP_URL"),
        }

    async def _load(self, call: Call) -> Json:
        try:
            await self._stage.reset(_object(call))
        except ValueError as error:
            raise Refused(400, "InvalidEstate", str(error)) from error
        return await self._state(call)

    async def _clock(self, _: Call) -> Json:
        clock = self._stage.clock
        return {"now": clock.now().isoformat(), "offsetSeconds": clock.offset.total_seconds()}

    async def _shift(self, call: Call) -> Json:
        self._stage.shift(_span(_object(call).get("shift")))
        if self._shifted is not None:
            await self._shifted()
        return await self._clock(call)

    async def _calls(self, call: Call) -> Json:
        query = call.query
        limit = _number(query, "limit", PAGE)
        found: list[Json] = []
        index = since = _number(query, "since", 0)
        for index, line in self._stage.log.since(since):
            if len(found) == limit:
                break
            wanted = {"host": urlsplit(line.url).hostname, "kind": line.kind, "method": line.method}
            if all(query.get(name, value) == value for name, value in wanted.items()):
                shown = {"at": line.at.isoformat(), "method": line.method, "url": line.url, "status": line.status}
                found.append(
                    {"index": index, **shown, "kind": line.kind, "clientRequestId": line.client_request_id or None}
                )
        else:
            index = max(since, self._stage.log.total)
        return {"value": found, "next": index}

    async def _faults(self, _: Call) -> Json:
        return {"value": self._stage.faults.listed()}

    async def _put_faults(self, call: Call) -> Json:
        rules = call.json()
        if not isinstance(rules, list):
            raise Refused(400, "InvalidFault", "Faults are a list of rules.")
        self._stage.faults.put(rules)
        return await self._faults(call)

    async def _no_faults(self, call: Call) -> Json:
        self._stage.faults.put([])
        return await self._faults(call)

    async def _events(self, call: Call) -> Json:
        """{"emit": {...}} tells Event Grid of something; {"to": endpoint, "body": ...} delivers a body as it stands."""
        asked = _object(call)
        if isinstance(asked.get("emit"), dict):
            event = asked["emit"]
            try:
                self._stage.world.emit(event["topic"], event["subject"], event["type"], event["data"])
            except KeyError as error:
                raise Refused(400, "InvalidEvent", f"emit needs {error}.") from error
            return {"emitted": 1}
        if "to" not in asked or "body" not in asked:
            raise Refused(400, "InvalidEvent", "Send {emit: {...}} or {to, body}.")
        body = asked["body"] if isinstance(asked["body"], str) else json.dumps(asked["body"])
        headers = {"Content-Type": "application/json", "aeg-event-type": "Notification", **asked.get("headers", {})}
        status = await self._stage.deliver(str(asked["to"]), headers, body.encode())
        return {"status": status}


def _key(key: Key) -> Json:
    versions = [
        {
            "version": one.version,
            "created": one.created.isoformat(),
            "enabled": one.enabled,
            "expires": one.expires.isoformat() if one.expires else None,
            "operations": list(one.operations),
            "tags": one.tags,
        }
        for one in key.versions
    ]
    return {"name": key.name, "kty": key.kty, "deleted": key.deleted is not None, "versions": versions}


def _check_caller(call: Call) -> None:
    origin = call.headers.get("origin")
    if call.host not in LOOPBACK or (origin is not None and urlsplit(origin).hostname not in LOOPBACK):
        raise Refused(403, "Forbidden", "The console answers programs on this machine only.")


async def _unknown(call: Call) -> Json:
    raise Refused(404, "NotFound", f"The console has no {call.method} {call.path}.")


def _object(call: Call) -> Json:
    body = call.json()
    if not isinstance(body, dict):
        raise Refused(400, "InvalidRequestContent", "The body is a JSON object.")
    return body


def _span(written: Any) -> timedelta:
    if isinstance(written, (int, float)) and not isinstance(written, bool):
        return timedelta(seconds=written)
    match = _SPAN.fullmatch(written) if isinstance(written, str) else None
    if match is None or not any(match.groups()):
        raise Refused(400, "InvalidShift", "shift is a number of seconds or an ISO 8601 span such as PT24H.")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(query.get(name, default))
    except ValueError as error:
        raise Refused(400, "InvalidQuery", f"{name} is a whole number.") from error
