"""Making a new version of a key, then moving everything that uses it."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from shared.domain.key_template import could_name
from shared.domain.keys import KeyHistory
from shared.domain.patience import wait_or_give_up
from shared.domain.policy import Origin
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.report import Outcome, Report, Rotated, Stopped, Waiting
from shared.domain.resource import address_of
from shared.domain.work import CheckKey, RotateKey
from shared.errors import AppError, NotThere, Refusal
from shared.usecases.announcing import announce_version
from shared.usecases.context import Context
from shared.usecases.waiting import step_for, waited_for

YOUNGEST = timedelta(days=1)  # a version younger than this answers the wish for a new one


async def rotate(context: Context, item: RotateKey) -> Report:
    """Make a new version unless the key moved on or is young enough, and have all users looked at in any case.

    In any case, because a crash right after the new version was made brings the same item back: it then finds the key
    moved on, and must not leave the users behind.
    """
    ports = context.ports
    outcome: Outcome
    look, begun = False, list[str]()
    try:
        outcome, look = await _rotate(context, item, begun)
    except NotThere as error:
        outcome = Stopped((Blocked(Reason.KEY_NOT_FOUND, detail=error.detail),))
    except AppError as error:
        outcome = _ended(step_for(error, item.waited, ports.clock.now()))
    if isinstance(outcome, Waiting):
        await ports.queue.put(replace(item, waited=waited_for(outcome.wait)), visible_at=outcome.wait.again_at)
    report = Report(ports.clock.now(), item, outcome, closes=tuple(begun))
    await ports.journal.append(report)
    if look:  # last: a version that was made is told of, even if the queue takes nothing now
        await ports.queue.put(CheckKey(item.key, item.cause, ports.clock.now()))
    return report


def _ended(step: Wait | Blocked) -> Outcome:
    return Waiting(step) if isinstance(step, Wait) else Stopped((step,))


async def _rotate(context: Context, item: RotateKey, begun: list[str]) -> tuple[Outcome, bool]:
    """Return what came of it, and whether the key's users are to be looked at."""
    ports = context.ports
    if bar := await barred(context, item):
        return Stopped((bar,)), False
    now = ports.clock.now()
    history = await ports.keys.history(item.key, not_older_than=now)
    held = _held_back(history, item)
    if held is not None:
        return Stopped((held,)), held.reason is not Reason.KEY_BACKS_CERTIFICATE
    off = _ended(wait_or_give_up(Blocked(Reason.WRITES_OFF), waited=item.waited, now=now))
    if not await ports.switch.is_on():
        return off, False
    begun.append(await announce_version(context, item, history.key))
    made = await _make(context, item, history)
    return (off, False) if made is None else (made, True)


async def would_rotate(context: Context, item: RotateKey) -> Blocked | None:
    """Return why a rotation would be held back, or None if it would make a version. Raises AppError."""
    if bar := await barred(context, item):
        return bar
    try:
        history = await context.ports.keys.history(item.key, not_older_than=context.ports.clock.now())
    except NotThere as error:
        return Blocked(Reason.KEY_NOT_FOUND, detail=error.detail)
    return _held_back(history, item)


async def barred(context: Context, item: RotateKey) -> Blocked | None:
    """Return why the key is none of ours to rotate, whatever anybody wishes."""
    vaults = context.ports.vaults
    if await vaults.by_host(item.key.host) is None:
        hsm = ".managedhsm." in item.key.host
        return Blocked(Reason.MANAGED_HSM if hsm else Reason.VAULT_NOT_KNOWN, detail=item.key.host)
    id_ = await vaults.id_of(item.key.host) if context.own.resource_groups else ""
    if id_ and address_of(id_).group_id in context.own.resource_groups:
        return Blocked(Reason.OWN_RESOURCE, detail=f"{item.key.host} lies in the app's own resource group")
    return await _imported(context, item)


async def _make(context: Context, item: RotateKey, history: KeyHistory) -> Rotated | Stopped | None:
    """Return what came of it; None: writing was switched off since it was asked, while this was told or looked at."""
    keys, switch = context.ports.keys, context.ports.switch
    try:
        version = await keys.new_version(item.key, if_latest_is=history.latest, if_on=switch)
    except Refusal as refusal:
        if refusal.reason is not Reason.KEY_MOVED_ON:
            raise
        return Stopped((Blocked(refusal.reason, detail=refusal.detail),))
    return None if version is None else Rotated(item.key, version)


async def _imported(context: Context, item: RotateKey) -> Blocked | None:
    """Return why a key whose material comes from elsewhere is not rotated in the vault: it would get material of
    another origin, and nothing tells such keys apart [learn key-vault/keys/byok-specification].
    """
    for rule in (await context.ports.policies.current()).rules:
        if rule.origin is Origin.IMPORTED and could_name(rule.key, item.key):
            return Blocked(Reason.KEY_IS_IMPORTED, detail=f"rule {rule.name!r}")
    return None


def _held_back(history: KeyHistory, item: RotateKey) -> Blocked | None:
    if history.backs_certificate:
        return Blocked(Reason.KEY_BACKS_CERTIFICATE)
    if item.if_latest_is and history.latest != item.if_latest_is:
        return Blocked(Reason.KEY_MOVED_ON, detail=f"the latest version is {history.latest}")
    latest = history.find(history.latest)
    if latest is not None and history.read_at - latest.created < YOUNGEST:
        return Blocked(Reason.KEY_ROTATED_RECENTLY, detail=f"version {latest.version} of {latest.created.isoformat()}")
    return None
