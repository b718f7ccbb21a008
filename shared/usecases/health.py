"""Whether the app can do its work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from shared.usecases.context import Context


class _Problem(Protocol):
    @property
    def setting(self) -> str: ...
    @property
    def text(self) -> str: ...


class Health(Struct, frozen=True, rename="camel"):
    """What `GET health` answers. `journal` holds the last failure of each sink that fails."""

    healthy: bool
    writes: str
    identity: bool  # whether a token for the app's identity can be had
    services: tuple[str, ...]
    problems: tuple[str, ...]
    journal: dict[str, str]


async def health(context: Context, problems: Sequence[_Problem], journal: Mapping[str, str]) -> Health:
    """Return the app's state. Asks for a token, looks at the policy, and touches nothing else."""
    known = bool(await context.ports.myself.principals())
    on = await context.ports.switch.is_on()
    found = [f"{problem.setting}: {problem.text}" for problem in problems]
    if not known:
        found.append("identity: no token could be had for the app's managed identity")
    if problem := await context.ports.policies.problem():
        found.append(f"policy: {problem}")
    types = tuple(sorted(service.type for service in context.services.values()))
    return Health(not found and not journal, "on" if on else "off", known, types, tuple(found), dict(journal))
