"""Which keys a resource of any type points at and really uses, as the sandbox alone knows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandbox.arm import following, searchservices
from sandbox.arm.encryption import Pointer
from sandbox.arm.keyed import uses
from sandbox.arm.keyed.rules import Keyed, at
from sandbox.arm.keyed.table import TABLE
from sandbox.arm.operations import Operation
from sandbox.wire import Json
from sandbox.world import World

STORAGE = (following.ACCOUNTS, following.SCOPES)
_SEARCHED = searchservices.TYPE.lower()
_LISTED = ("microsoft.sql/servers/keys", "microsoft.sql/managedinstances/keys")  # what a server knows, and not uses


@dataclass(frozen=True)
class Used:
    """One key that a resource points at; `there` is the version in effect."""

    slot: str
    pointer: Pointer
    follows: bool
    there: str
    principal: str | None
    needs: tuple[str, ...]  # of its identity


def users(world: World) -> Iterator[Json]:
    """Yield the body, as it is now, of everything that can use a key."""
    for type_ in (*STORAGE, *(one for one in TABLE if one not in _LISTED)):
        for stored in list(world.resources.of_type(type_)):
            yield following.current(world, stored)
    for service in list(world.resources.of_type(searchservices.TYPE)):
        for collection in searchservices.COLLECTIONS:
            for one in searchservices.objects(world, str(service["name"]), collection).values():
                body = searchservices.as_resource(service, collection, one)
                yield uses.followed(world, searchservices.OBJECTS, body)


def rule_of(body: Json) -> Keyed | None:
    """Return the sandbox's rule for a body; None for storage, which has its own."""
    searched = str(body["type"]).lower().startswith(f"{_SEARCHED}/")
    return searchservices.OBJECTS if searched else uses.rule_of(body)


def pointers(body: Json) -> dict[str, Pointer]:
    """Return where a body points, by slot."""
    if str(body["type"]).lower() in STORAGE:
        pointer = following.pointer_of(body)
        return {"": pointer} if pointer is not None else {}
    rule = rule_of(body)
    return {use.slot: use.pointer for use in rule.uses(body)} if rule is not None else {}


def used(world: World, body: Json) -> list[Used]:
    """Return the keys that a body points at, with what is in effect."""
    if str(body["type"]).lower() in STORAGE:
        pointer = following.pointer_of(body)
        who = following.principal_for(world, body)
        there = following.in_effect(body)
        return [Used("", pointer, not pointer.version, there, who, ("wrapKey",))] if pointer is not None else []
    rule = rule_of(body)
    if rule is None:
        return []
    known = uses.in_effect(world, str(body["id"]))
    return [
        Used(
            use.slot,
            use.pointer,
            rule.auto(body, use),
            known.get(use.slot, "").rpartition("/")[2],
            uses.principal_for(world, rule, body, use),
            rule.needs,
        )
        for use in rule.uses(body)
    ]


def is_broken(body: Json) -> bool:
    """Return whether a resource is in the state in which its service leaves it when an operation failed."""
    rule = rule_of(body)
    return rule is not None and bool(rule.state) and at(body, rule.state) == rule.failed != rule.done


def has_failed(world: World, id_: str) -> bool:
    """Return whether any operation on a resource (its id in lower case) has failed, whoever began it."""
    known: dict[str, Operation] = world.memory.get("operations", {}).get("known", {})
    return any(one.refusal is not None for one in known.values() if one.request.target.id.lower() == id_)
