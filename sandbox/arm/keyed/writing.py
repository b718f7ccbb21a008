"""Writing: PUT and PATCH of a resource that uses keys, judged by its type's rule, at once or as an operation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.arm import generic, operations
from sandbox.arm.keyed import uses
from sandbox.arm.keyed.rules import Keyed, Use, at, nested, refuse
from sandbox.arm.request import Request
from sandbox.arm.store import copied, merged, require_place, save
from sandbox.wire import Answer, Json, Refused
from sandbox.world import World


def put(world: World, request: Request) -> Answer:
    """PUT: makes a resource at once (where Azure would answer 201 or 202 first), or replaces one by the rule."""
    require_place(world, request.target)
    sent = request.body()
    if world.resources.get(request.target.id) is not None:
        old = generic.read(world, request.target)
        return _write(world, request, old, generic.replaced(world, request, old, sent), sent)
    new = generic.replaced(world, request, None, sent)
    rule = _rule(new)
    new = _judged(world, rule, None, {**_without(new, rule), "tags": new.get("tags") or {}})
    new = _in_state(rule, new, rule.done)
    now = world.clock.time()
    return Answer.of(save(world, _keys_taken(world, rule, {}, new, sent, now)), rule.made)


def patch(world: World, request: Request) -> Answer:
    """PATCH: a merge; below the rule's path only what the service lets a PATCH change."""
    old, sent = generic.read(world, request.target), request.body()
    rule = _rule(old)
    if rule.patch is not None:
        path, allowed = rule.patch
        for leaf in _leaves(at(sent, path), ""):
            if leaf not in allowed:
                raise refuse(rule, f"'{path}.{leaf}' cannot be changed by PATCH.")
    return _write(world, request, old, generic.patched(world, old, sent), sent)


def _write(world: World, request: Request, old: Json, new: Json, sent: Json) -> Answer:
    rule = _rule(old)
    if operations.running(world, request.target.id):
        status, code = rule.busy
        raise Refused(status, code, f"Another operation on '{old['name']}' is in progress. Retry when it has ended.")
    _check_etag(rule, request, old)
    new = _judged(world, rule, old, new)
    if rule.etag:
        new = {**new, "eTag": world.new_id()}

    def tagged(body: Json) -> Json:  # tags/default may have changed them meanwhile
        tags = (world.resources.get(request.target.id) or {}).get("tags")
        return body if tags == old.get("tags") else {**body, "tags": tags}

    def finish(when: float) -> Json:
        shown = new if rule.style is None else _in_state(rule, new, rule.done)
        return save(world, tagged(_keys_taken(world, rule, old, shown, sent, when)), when)

    def undo(when: float, _refusal: Refused) -> Json:
        return save(world, tagged(_in_state(rule, old, rule.failed)), when)

    if rule.style is None:
        return Answer.of(finish(world.clock.time()))
    meanwhile = old if rule.during is None else merged(old, rule.during(old, new))
    shown = save(world, _in_state(rule, meanwhile, rule.changing))
    return operations.begin(world, request, shown, rule.style, rule.word, finish, undo)


def _judged(world: World, rule: Keyed, old: Json | None, new: Json) -> Json:
    """Return the body that would come about; Refused 400 for what the service refuses without asking the vault."""
    for path in filter(None, (*rule.owned, rule.state)):
        kept = at(old, path)
        new = merged(new, nested(path, copied(kept))) if kept is not None else _removed(new, path)
    if rule.derive is not None:
        new = rule.derive(world, new)
    for path in rule.fixed if old is not None else ():
        if at(old, path) != at(new, path):
            raise refuse(rule, f"'{path}' cannot be changed after creation.")
    _judge_uses(rule, old, new)
    for also in rule.also:
        also(world, old, new)
    return new


def _judge_uses(rule: Keyed, old: Json | None, new: Json) -> None:
    before, after = ({use.slot: use for use in rule.uses(one or {})} for one in (old, new))
    had, has = ({use.place for use in one.values()} for one in (before, after))
    if old is not None and has - had and not rule.on_later:
        raise refuse(rule, "A customer-managed key can only be set when the resource is created.")
    if not rule.off and any(not place.off for place in had - has):
        raise refuse(rule, "A resource with a customer-managed key cannot go back to the platform's key.")
    for use in after.values():
        _judge_pointer(rule, before.get(use.slot), use)
    for place in rule.places:
        if place.wrong(new):
            raise refuse(rule, f"'{place.at}' does not name a key.")


def _judge_pointer(rule: Keyed, before: Use | None, use: Use) -> None:
    if rule.version == "pinned" and not use.pointer.version:
        raise refuse(rule, "The key must be named with its version.")
    if rule.version == "none" and use.pointer.version:
        raise refuse(rule, "The key must be named without a version.")
    if "vault" in rule.same and before is not None and before.pointer.host != use.pointer.host:
        raise refuse(rule, "The new key must be in the same key vault.")


def _keys_taken(world: World, rule: Keyed, old: Json, new: Json, sent: Json, when: float) -> Json:
    """Return the body with the keys that were sent or have changed in effect; Refused 400 for one that cannot be."""
    before = {use.slot: use for use in rule.uses(old)} if old else {}
    after = tuple(rule.uses(new))
    moment = datetime.fromtimestamp(when, UTC)
    carried = _carried(before, after)
    taken = [
        (use, *uses.check(world, rule, new, use, new=not old))
        for use in after
        if use.slot not in before
        or before[use.slot].pointer != use.pointer
        or (use.place.spoken_of(sent) and use.slot not in carried)
    ]
    known = uses.in_effect(world, str(new["id"]))
    for gone in known.keys() - {use.slot for use in after}:
        del known[gone]
    for use, key, version in taken:
        new = uses.effected(world, rule, new, use, key, version, moment)
        uses.looked_now(world, rule, new, use)
    return new


def _carried(before: Mapping[str, Use], after: tuple[Use, ...]) -> set[str]:
    """Return the entries of a list that were sent again as they were because another one changes: they are not asked
    for, since the keys of a list stand in for each other when one cannot be reached [UNVERIFIED].
    """
    listed = [use for use in after if use.place.at.endswith("[]")]
    same = {use.slot for use in listed if use.slot in before and before[use.slot].holder == use.holder}
    return same if len(same) < len(listed) else set()


def _rule(body: Json) -> Keyed:
    rule = uses.rule_of(body)
    if rule is None:
        raise TypeError(f"{body['type']} has no rule")
    return rule


def _check_etag(rule: Keyed, request: Request, old: Json) -> None:
    wanted = request.call.headers.get("if-match", "*").strip('"')
    if rule.etag and wanted not in {"*", str(old.get("eTag", "")).strip('"')}:
        raise Refused(412, "PreconditionFailed", f"The etag of '{old['name']}' is another one.")


def _in_state(rule: Keyed, body: Json, state: str) -> Json:
    return merged(body, nested(rule.state, state)) if rule.state else body


def _without(body: Json, rule: Keyed) -> Json:
    for path in rule.owned:
        body = _removed(body, path)
    return body


def _removed(body: Json, path: str) -> Json:
    return body if at(body, path) is None else merged(body, nested(path, None))


def _leaves(value: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [] if value is None and not path else [path]
    return [leaf for name, one in value.items() for leaf in _leaves(one, f"{path}.{name}".lstrip("."))]
