"""Reading: which keys a body uses, with whose rights, which version is in effect, what followers have taken up."""

from __future__ import annotations

from datetime import datetime

from sandbox.arm import looks
from sandbox.arm.encryption import Pointer
from sandbox.arm.keyed.rules import Keyed, Use, at, nested, refuse
from sandbox.arm.keyed.table import TABLE
from sandbox.arm.store import merged, save, stamp
from sandbox.keyring import Key, KeyVersion
from sandbox.vault.access import find_vault, wrap_problem
from sandbox.wire import Json, Refused
from sandbox.world import World

_BLIND = ("no identity", "vault-not-found", "forbidden", "key-not-found", "deleted")


def rule_of(body: Json) -> Keyed | None:
    """Return the rule for a body, by its type and kind, or None."""
    found = TABLE.get(str(body.get("type", "")).lower())
    return None if found is None else found.of(body)


def pointers(body: Json) -> dict[str, Pointer]:
    """Return where a body points, by slot; {} for a type without a rule."""
    rule = rule_of(body)
    return {} if rule is None else {use.slot: use.pointer for use in rule.uses(body)}


def in_effect(world: World, id_: str) -> dict[str, str]:
    """Return the key identifier that each of a resource's uses has in effect, by slot, shown in its body or not."""
    known: dict[str, dict[str, str]] = world.memory.setdefault("inEffect", {})
    return known.setdefault(id_.lower(), {})


def current(world: World, body: Json) -> Json:
    """Return a body after the looks that its followers have had meanwhile."""
    rule = rule_of(body)
    return body if rule is None or not rule.follows else followed(world, rule, body)


def followed(world: World, rule: Keyed, body: Json) -> Json:
    """Return a body that lives by this rule after its looks; one that changes by them is saved."""
    for use in tuple(rule.uses(body)):
        if rule.auto(body, use):
            body = _looked(world, rule, body, use)
    return body


def _looked(world: World, rule: Keyed, body: Json, use: Use) -> Json:
    id_ = f"{body['id']}#{use.slot}"
    after = looks.since(world, id_, rule.follows)
    if after is None:
        return body
    principal = principal_for(world, rule, body, use)
    problem = wrap_problem(world, use.pointer.host, use.pointer.name, None, principal or "", rule.needs)
    problem = "no identity" if principal is None else problem
    if rule.blind is not None:
        told = merged(body, rule.blind(problem if problem in _BLIND else ""))
        body = save(world, told) if told != body else body
    if problem in _BLIND:
        return body
    effective = in_effect(world, str(body["id"])).get(use.slot, "").rpartition("/")[2]
    found = looks.picked(
        world,
        id_,
        use.pointer,
        principal or "",
        lambda key, version: fits(rule, key, version),
        effective,
        period=rule.follows,
        after=after,
        needs=rule.needs,
    )
    if found is None:
        return body
    key, version, when = found
    after_it = effected(world, rule, body, use, key, version, when)
    return body if after_it is body else save(world, after_it, when.timestamp())


def fits(rule: Keyed, key: Key, version: KeyVersion) -> bool:
    """Return whether a version's type and size are among those that the service takes."""
    return key.kty_of(version) in rule.types and key.bits_of(version) in rule.bits


def effected(world: World, rule: Keyed, body: Json, use: Use, key: Key, version: KeyVersion, when: datetime) -> Json:
    """Note that a version is in effect, and return the body with what shows it."""
    if rule.taken is not None:
        rule.taken(world, body, use, key, version)
    known = in_effect(world, str(body["id"]))
    if known.get(use.slot) == use.pointer.identifier(key, version):
        return body
    known[use.slot] = use.pointer.identifier(key, version)
    return body if rule.shows is None else merged(body, rule.shows(body, use, key, version, stamp(when)))


def looked_now(world: World, rule: Keyed, body: Json, use: Use) -> None:
    """Note that a use has looked just now, if it is one that looks at all."""
    if rule.follows:
        looks.start(world, f"{body['id']}#{use.slot}", rule.follows)


def owner_of(world: World, rule: Keyed, body: Json) -> Json:
    """Return the body that has the identity: its own, or that of the resource it is a child of."""
    if not rule.above:
        return body
    return world.resources.get(str(body["id"]).rsplit("/", 2 * rule.above)[0]) or {}


def principal_for(world: World, rule: Keyed, body: Json, use: Use) -> str | None:
    """Return the principal with which a use reaches its key; None when there is none."""
    owner = owner_of(world, rule, body)
    for find in use.place.who:
        found = find(world, owner, use.holder)
        if found is not None:
            return found or None
    return None


def check(world: World, rule: Keyed, body: Json, use: Use, *, new: bool = False) -> tuple[Key, KeyVersion]:
    """Return the key version that a write makes effective; Refused 400 when the service would not take it."""
    pointer = use.pointer
    vault = find_vault(world, pointer.host)
    if vault is None:
        raise refuse(rule, f"The key vault 'https://{pointer.host}' could not be found.")
    settled = any(f"//{pointer.host}/" in known for known in in_effect(world, str(body["id"])).values())
    _check_vault(rule, owner_of(world, rule, body), vault, settled=settled)
    principal = principal_for(world, rule, body, use)
    problem = wrap_problem(world, pointer.host, pointer.name, pointer.version or None, principal or "", rule.needs)
    if new and rule.granted_later and problem == "forbidden":
        problem = None
    key = world.keyring.get(str(vault["name"]), pointer.name)
    if principal is None or problem is not None or key is None:
        why = "no identity" if principal is None else problem
        where = f"'{pointer.name}' in 'https://{pointer.host}'"
        raise Refused(400, rule.access, f"The identity cannot use the key {where}: {why}.")
    version = key.find(pointer.version) if pointer.version else key.latest
    if version is None or not fits(rule, key, version):
        raise refuse(rule, f"The key must be {' or '.join(rule.types)} of {', '.join(map(str, rule.bits))} bits.")
    return key, version


def _check_vault(rule: Keyed, owner: Json, vault: Json, *, settled: bool) -> None:
    """Refuse a vault that the service would not take. Where it may be is asked once, when it is first used."""
    properties = vault.get("properties") or {}
    if properties.get("enableSoftDelete") is False or not properties.get("enablePurgeProtection"):
        raise refuse(rule, "The key vault must have soft delete and purge protection enabled.")
    if settled:
        return
    region, home = (str(one.get("location") or "").lower().replace(" ", "") for one in (owner, vault))
    if "region" in rule.same and region and region != home:
        raise refuse(rule, f"The key vault must be in the region of the resource: '{region}', not '{home}'.")
    if "subscription" in rule.same and str(owner["id"]).lower().split("/")[2] != str(vault["id"]).lower().split("/")[2]:
        raise refuse(rule, "The key vault must be in the subscription of the resource.")


def complete(world: World) -> None:
    """Fill in what an estate leaves out: which versions are in effect. Followers have just looked."""
    for type_, general in TABLE.items():
        for known in world.resources.of_type(type_):
            rule = general.of(known)
            body = stored = _derived(world, rule, known)
            said = str((rule.shown and at(stored, rule.shown)) or "").rpartition("/")[2]
            for use in tuple(rule.uses(stored)):
                vault = find_vault(world, use.pointer.host)
                key = world.keyring.get(str(vault["name"]), use.pointer.name) if vault else None
                wanted = use.pointer.version or said
                version = None if key is None or not key.versions else key.find(wanted) if wanted else key.latest
                if key is not None and version is not None:
                    body = _said(stored, effected(world, rule, body, use, key, version, version.created))
                looked_now(world, rule, body, use)
            if rule.state and at(body, rule.state) is None:
                body = merged(body, nested(rule.state, rule.done))
            if body is not stored:
                world.resources.put(body)


def _derived(world: World, rule: Keyed, body: Json) -> Json:
    if rule.derive is None:
        return body
    try:
        found = rule.derive(world, body)
    except Refused as refusal:
        raise ValueError(f"{body['id']}: {refusal.message}") from refusal
    world.resources.put(found)
    return found


def _said(written: Json, completed: Json) -> Json:
    """Return the completed body, but with what the estate says of itself."""
    result = dict(completed)
    for name, value in written.items():
        there = result.get(name)
        result[name] = _said(value, there) if isinstance(value, dict) and isinstance(there, dict) else value
    return result
