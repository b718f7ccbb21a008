"""Taking away what lets a resource's identity use its keys: look, say what goes, take it piece by piece, read back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.patience import wait_or_give_up
from shared.domain.reasons import Blocked, Reason, Wait
from shared.domain.report import Done, Gone, Outcome, Report, Stopped, Waiting
from shared.domain.revocation import Announced, Other, Revoked, Taking, place_taken, told_besides
from shared.domain.revocation_record import taken_untold
from shared.domain.work import RevokeAccess
from shared.errors import AppError, Refusal, TryLater
from shared.usecases.context import Context
from shared.usecases.holding import Holdings, holdings
from shared.usecases.own_lines import own_lines
from shared.usecases.sharing import sharing
from shared.usecases.steps.revoke_access import revoke_access
from shared.usecases.waiting import bounded, step_for, waited_for

MOST_ROUNDS = 11  # looks in one handling: one before it is told what goes, one before each thing that does
_DAY = timedelta(days=1)
UNPUBLISHED = "its service publishes no figure; count on a day, for which a token may be kept"


class _Progress(Struct):
    did: tuple[Done, ...] = ()
    also: tuple[Other, ...] = ()
    announced: tuple[Taking, ...] = ()


async def revoke(context: Context, item: RevokeAccess) -> Report:
    """Take the access away, as far as it goes now, and report. What has to wait is put on the queue again."""
    async with context.recent.turn(item.address):
        progress = _Progress()
        try:
            outcome = await _outcome(context, item, progress)
        except AppError as error:
            outcome = _ended(step_for(error, item.waited, context.ports.clock.now(), item.first_at))
        now = context.ports.clock.now()
        if isinstance(outcome, Waiting):
            wait = outcome.wait
            first_at = now if wait.reason is Reason.WRITES_OFF else item.first_at
            successor = replace(item, asked_at=now, first_at=first_at, waited=waited_for(wait))
            await context.ports.queue.put(successor, visible_at=wait.again_at)
        report = Report(now, item, outcome, item.address, did=progress.did)
        await context.ports.journal.append(report)
        return report


async def _outcome(context: Context, item: RevokeAccess, progress: _Progress) -> Outcome:
    for _ in range(MOST_ROUNDS):
        found = await holdings(context, item)
        if found is None:
            return Gone()
        if not found.takings:
            context.recent.forget(item.address)
            progress.did = (*await _taken_before(context, item, progress), *progress.did)
            return Stopped(found.blocked) if found.blocked else _revoked(progress)
        if found.barred is not None:
            return Stopped((found.barred, *found.blocked))
        if not progress.did:  # before the first write; what was taken since only makes them fewer
            progress.also = await sharing(context, item.address, found.top, found.holds)
            if bar := _undone(progress.also) or _too_many(progress.also, item):
                return Stopped((bar,))
        if step := await _not_now(context, item, found.takings[0], progress):
            return _ended(step)
        if await _announce(context, item, found.takings, progress):
            continue  # telling may have taken its time: what is known is asked anew
        await _take(context, item, found.takings[0], progress)
    return _ended(_look_again(context, item, Reason.OTHERS_MOVE_IT))


def _revoked(progress: _Progress) -> Revoked:
    taken = (done.step.principal for done in progress.did if isinstance(done.step, Taking))
    return Revoked(tuple(dict.fromkeys(taken)), progress.also)


async def _announce(context: Context, item: RevokeAccess, steps: tuple[Taking, ...], progress: _Progress) -> bool:
    """Put down what is about to go: once it is gone nothing in Azure tells what it was, and the app may die. Returns
    whether there was anything new to tell.
    """
    if set(steps) <= set(progress.announced):
        return False
    progress.announced = steps
    told = Announced(steps, progress.also)
    await context.ports.journal.append(Report(context.ports.clock.now(), item, told, item.address))
    return True


async def _taken_before(context: Context, item: RevokeAccess, progress: _Progress) -> tuple[Done, ...]:
    """Return what an earlier handling of the same wish took and had no time to tell. Where the evidence cannot be read,
    it still has what was announced.
    """
    try:
        page = await own_lines(context, item.address, min(item.first_at, context.ports.clock.now() - _DAY))
    except AppError:
        return ()
    mine = {done.step for done in progress.did}
    before = taken_untold(page.lines, item.address.folded, item.cause.id)
    return tuple(done for done in before if done.step not in mine)


async def _take(context: Context, item: RevokeAccess, step: Taking, progress: _Progress) -> None:
    place = place_taken(step)
    try:
        await revoke_access(context, step)
    except TryLater as error:
        if error.reason is Reason.SERVICE_UNAVAILABLE:  # its answer may have got lost
            progress.did += (Done(context.ports.clock.now(), step, place, accepted=False),)
        raise
    finally:
        context.recent.forget(item.address)
    progress.did += (Done(context.ports.clock.now(), step, place),)


async def _not_now(context: Context, item: RevokeAccess, step: Taking, progress: _Progress) -> Wait | Blocked | None:
    if any(done.accepted and done.step == step for done in progress.did):
        return _look_again(context, item, Reason.NOT_YET_IN_EFFECT)
    return None if await context.ports.switch.is_on() else _look_again(context, item, Reason.WRITES_OFF)


def _look_again(context: Context, item: RevokeAccess, reason: Reason) -> Wait | Blocked:
    now = context.ports.clock.now()
    return bounded(wait_or_give_up(Blocked(reason), waited=item.waited, now=now), now, item.first_at)


def _ended(step: Wait | Blocked) -> Outcome:
    return Waiting(step) if isinstance(step, Wait) else Stopped((step,))


def _too_many(also: tuple[Other, ...], item: RevokeAccess) -> Blocked | None:
    return _other_count(also, item) if len(also) > item.also_affects else None


def _other_count(also: tuple[Other, ...], item: RevokeAccess) -> Blocked:
    named = ", ".join(one.resource for one in also[:5])
    detail = f"{len(also)} others, alsoAffects says {item.also_affects}: {named}{' ...' if also[5:] else ''}"
    return Blocked(Reason.OTHERS_AFFECTED, detail=detail)


def _undone(also: tuple[Other, ...]) -> Blocked | None:
    """Return why it would not last: a rule gives the access back for another resource that has the identity."""
    other = next((one for one in also if one.restored_by), None)
    if other is None:
        return None
    return Blocked(
        Reason.CONTRADICTS_RULE, detail=f"rule {other.restored_by!r} for {other.resource} says accessLost: restore"
    )


async def foretold(context: Context, item: RevokeAccess, *, dry_run: bool) -> dict[str, Any]:
    """Return who would lose what, how long that may take, what the app cannot take, and how to undo it.

    Raises AppError: for what is no dry run also the reason why it would not be done.
    """
    found = await holdings(context, item)
    if found is None:
        if not dry_run:
            raise Refusal(Reason.BAD_REQUEST, "there is no such resource")
        return {"exists": False, "steps": []}
    also = await sharing(context, item.address, found.top, found.holds) if found.takings else ()
    if not dry_run:
        _require(found, also, item)
    bar = found.barred or _undone(also)
    held = (bar,) if bar is not None and found.takings else ()
    return {
        "exists": True,
        "steps": [*held, *found.takings],
        "remains": found.blocked,
        "unreadable": {"resource": item.address.url, "keys": [key.url for key in found.lost]}
        if found.takings
        else None,
        "alsoAffected": also,
        "alsoTaken": [told for hold in found.holds for told in told_besides(hold)],
        "keepsAccessFor": _kept(found),
        "undo": [step.undo for step in found.takings],
    }


def _require(found: Holdings, also: tuple[Other, ...], item: RevokeAccess) -> None:
    """Raise Refusal for what the work would end with at once: the caller is still there to be told."""
    first = found.barred if found.takings else next(iter(found.blocked), None)
    if first is not None:
        raise Refusal(first.reason, first.detail)
    if undone := _undone(also):
        raise Refusal(undone.reason, undone.detail)
    if len(also) != item.also_affects:
        raise Refusal(Reason.OTHERS_AFFECTED, _other_count(also, item).detail)


def _kept(found: Holdings) -> str:
    span = found.keeps_access_for
    return UNPUBLISHED if span is None else f"{int(span.total_seconds() // 60)} minutes"
