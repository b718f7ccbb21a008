"""The state machine's one door: a Call goes in, an Answer comes out, and nothing else happens in between.

`Cloud.answer` is synchronous and deterministic. A face waits `answer.latency` seconds and hands the answer over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sandbox.wire import Answer, Call, Refused, Unreachable
from sandbox.world import Logged, World

Service = Callable[[World, Call], Answer]
Kind = Callable[[Call], str]


@dataclass(frozen=True)
class Site:
    """A service of Azure: which hosts it answers for, what it does, how the call log names its calls."""

    hosts: tuple[str, ...]  # "management.azure.com", or ".vault.azure.net" for every host below it
    answer: Service
    kind: Kind

    def serves(self, host: str) -> bool:
        """Return whether this site answers for the host."""
        return any(host == known or (known.startswith(".") and host.endswith(known)) for known in self.hosts)


class Cloud:
    """The simulated Azure behind one door."""

    def __init__(self, world: World, sites: tuple[Site, ...] | None = None) -> None:
        if sites is None:
            from sandbox.sites import SITES  # noqa: PLC0415  the sites import this module

            sites = SITES
        self.world = world
        self.sites = sites

    def serves(self, host: str) -> bool:
        """Return whether any site answers for this host name."""
        return any(site.serves(host.lower()) for site in self.sites)

    def answer(self, call: Call) -> Answer:
        """Carry the call out. Raises Unreachable when the connection breaks (unknown host, or a fault script)."""
        site = next((one for one in self.sites if one.serves(call.host)), None)
        if site is None:
            raise Unreachable(f"no such host in the sandbox: {call.host}")
        status = 0
        try:
            answer = self.world.hooks.before(call)
            if answer is None:
                try:
                    answer = site.answer(self.world, call)
                except Refused as refusal:
                    answer = refusal.answer()
                answer = self.world.hooks.after(call, answer)
            status = answer.status
            return replace(answer, headers={**answer.headers, "x-ms-request-id": self.world.new_id()})
        finally:
            request_id = call.headers.get("x-ms-client-request-id", "")
            self.world.log.append(Logged(self.world.now(), call.method, call.url, status, site.kind(call), request_id))
