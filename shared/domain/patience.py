"""How long each reason is waited for, and when to look again."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from shared.domain.reasons import Blocked, Reason, Wait, Waited


class Patience(Struct, frozen=True):
    """How long to wait for something: the first delay, the longest one, and when to give up, counted from `since`."""

    first: timedelta
    longest: timedelta
    give_up: timedelta


_S, _M, _H, _D = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

PATIENCE = {
    Reason.THROTTLED: Patience(10 * _S, 10 * _M, 2 * _D),
    Reason.CONFLICT: Patience(15 * _S, 10 * _M, 4 * _H),
    Reason.SERVICE_UNAVAILABLE: Patience(15 * _S, 30 * _M, 2 * _D),
    Reason.VAULT_UNREACHABLE: Patience(30 * _S, _H, _D),
    Reason.PROVISIONING: Patience(30 * _S, 10 * _M, 4 * _H),
    # Each region is registered by itself, which takes minutes [learn azure-resource-manager/management/
    # resource-providers-and-types].
    Reason.PROVIDER_REGISTERING: Patience(15 * _S, 5 * _M, 4 * _H),
    Reason.OPERATION_GOING_ON: Patience(10 * _S, 5 * _M, 6 * _H),
    Reason.SWEEP_GOING_ON: Patience(_M, 10 * _M, 12 * _H),
    Reason.PARTNER_FIRST: Patience(_M, 30 * _M, _D),
    Reason.NOT_YET_IN_EFFECT: Patience(30 * _S, 10 * _M, 2 * _H),
    # 15 to 30 minutes lie between the two changes [azure-docs synapse-analytics/security/workspaces-encryption].
    Reason.HOPPING: Patience(30 * _M, 30 * _M, _D),
    # A service that follows looks again at its own pace, within the hour where it is known [services.md 1.5].
    Reason.FOLLOW_FAILED: Patience(10 * _M, _H, _D),
    Reason.OTHERS_MOVE_IT: Patience(5 * _S, 5 * _M, 4 * _H),
    # The index shows a mended resource minutes later; a sweep begins again after this.
    Reason.WAVE_HELD: Patience(10 * _M, _H, 2 * _D),
    # A grant takes minutes to spread, and up to a day where a token is cached [services.md section 4].
    Reason.KEY_ACCESS_DENIED: Patience(2 * _M, _H, _D),
    # A new identity's principal reaches the other regions within minutes [learn role-based-access-control
    # troubleshooting, PrincipalNotFound].
    Reason.PRINCIPAL_NOT_FOUND: Patience(10 * _S, 5 * _M, 4 * _H),
    # A switch is no failure: work waits for it as long as it must.
    Reason.WRITES_OFF: Patience(_M, 10 * _M, 3650 * _D),
    Reason.POLICY_UNREADABLE: Patience(_M, 10 * _M, 3650 * _D),
}

# What has its own time is no failure however long it takes: it does not count as waiting for one thing after the other.
PATIENT = {Reason.WRITES_OFF, Reason.WAVE_NOT_OPEN, Reason.OUTSIDE_WINDOW, Reason.FROZEN}


def waited_since(waited: Waited | None, reason: Reason, now: datetime) -> datetime:
    """Return since when this has been waited for. Each reason has a patience of its own: time spent on another one, or
    switched off, uses up none of it.
    """
    return waited.since if waited is not None and waited.reason is reason else now


def wait_or_give_up(
    blocked: Blocked, *, waited: Waited | None, now: datetime, after: timedelta | None = None
) -> Wait | Blocked:
    """Return when to look again, or `blocked` itself once the patience for its reason is used up.

    The delay grows with the time already spent, so no count of tries has to travel. `after` is what Azure asked for
    (Retry-After) and is never undercut. A reason without patience is Blocked at once.
    """
    patience = PATIENCE.get(blocked.reason)
    since = waited_since(waited, blocked.reason, now)
    if patience is None or now >= since + patience.give_up:
        return blocked
    deadline = since + patience.give_up
    delay = min(patience.longest, max(patience.first, now - since))
    again_at = max(min(now + delay, deadline), now + (after or timedelta(0)))
    return Wait(blocked.reason, since, again_at, deadline, blocked.slot, blocked.detail)
