"""Whether the app can do its work: its settings, its identity, and a cheap read of each part of Azure that it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from shared.domain.plain import one_line
from shared.domain.reasons import Reason
from shared.domain.remedies import REMEDIES
from shared.errors import AppError, Refusal
from shared.usecases.context import Context

KEPT = timedelta(seconds=30)  # whoever asks for health all the time makes two looks a minute
PATIENCE = 5.0  # seconds for each part


class _Problem(Protocol):
    @property
    def setting(self) -> str: ...
    @property
    def text(self) -> str: ...


class Part(Struct, frozen=True, rename="camel"):
    """One part of Azure, and what is wrong with it if something is."""

    ok: bool
    reason: str = ""
    detail: str = ""
    remedy: str = ""


class Health(Struct, frozen=True, rename="camel"):
    """What `GET health` answers. `journal` holds the last failure of each sink that fails."""

    healthy: bool
    writes: str
    identity: bool  # whether a token for the app's identity can be had
    parts: dict[str, Part]
    looked_at: datetime  # when the parts were tried
    services: tuple[str, ...]
    problems: tuple[str, ...]
    journal: dict[str, str]


class Checkup:
    """Tries the queue, Resource Graph and one vault: each by one read, all at once, by one for all who ask."""

    def __init__(self, context: Context, clock_trouble: Callable[[], str]) -> None:
        self._context = context
        self.clock_trouble = clock_trouble
        self._looking = asyncio.Lock()
        self._last: tuple[datetime, bool, dict[str, Part]] | None = None

    async def look(self) -> tuple[datetime, bool, dict[str, Part]]:
        """Return when it was tried, whether there is a token, and the parts; at most KEPT old."""
        async with self._looking:
            now = self._context.ports.clock.now()
            if self._last is None or now - self._last[0] >= KEPT:
                self._last = (now, *await self._tried())
            return self._last

    async def _tried(self) -> tuple[bool, dict[str, Part]]:
        ports = self._context.ports
        known = bool(await ports.myself.principals())
        looks = {"queue": ports.queue.look, "resourceGraph": ports.finder.look, "vault": self._one_vault}
        parts = await asyncio.gather(*(_part(look) for look in looks.values()))
        return known, dict(zip(looks, parts, strict=True))

    async def _one_vault(self) -> None:
        site = await self._context.ports.vaults.first()
        if site is None:
            raise Refusal(Reason.VAULT_NOT_KNOWN, "no vault is found, and CMK_VAULTS names none")
        await self._context.ports.keys.look(site.host)


async def _part(look: Callable[[], Awaitable[None]]) -> Part:
    try:
        async with asyncio.timeout(PATIENCE):
            await look()
    except AppError as error:
        return Part(ok=False, reason=error.reason.value, detail=error.detail, remedy=REMEDIES[error.reason])
    except TimeoutError:
        reason = Reason.SERVICE_UNAVAILABLE
        return Part(ok=False, reason=reason.value, detail=f"no answer in {PATIENCE:g} s", remedy=REMEDIES[reason])
    except Exception as error:  # noqa: BLE001  health tells of what is broken, so nothing may break it
        detail = one_line(f"{type(error).__name__}: {error}")
        return Part(ok=False, reason=Reason.BUG.value, detail=detail, remedy=REMEDIES[Reason.BUG])
    return Part(ok=True)


async def health(
    context: Context, checkup: Checkup, problems: Sequence[_Problem], journal: Mapping[str, str]
) -> Health:
    """Return the app's state."""
    looked_at, known, parts = await checkup.look()
    on = await context.ports.switch.is_on()
    found = [f"{problem.setting}: {problem.text}" for problem in problems]
    if not known:
        found.append("identity: no token could be had for the app's managed identity")
    if trouble := checkup.clock_trouble():
        found.append(f"clock: {trouble}")
    if problem := await context.ports.policies.problem():
        found.append(f"policy: {problem}")
    types = tuple(sorted(service.type for service in context.services.values()))
    healthy = not found and not journal and all(part.ok for part in parts.values())
    return Health(healthy, "on" if on else "off", known, parts, looked_at, types, tuple(found), dict(journal))
