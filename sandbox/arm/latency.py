"""How long ARM takes to answer: the one place with these numbers."""

from __future__ import annotations

from sandbox.world import World

# Seconds, from and to. A choice of the sandbox: real storage writes took seconds in recordings, but nobody would wait
# for a demo of that. The estate's `latency` scales them (0: none, 1: as here).
SPANS: dict[str, tuple[float, float]] = {
    "read": (0.010, 0.025),
    "list": (0.020, 0.045),
    "childList": (0.015, 0.035),
    "write": (0.040, 0.080),
    "graph": (0.040, 0.100),
}


def draw(world: World, kind: str) -> float:
    """Return the seconds that a call of this kind takes, drawn from the world's seed."""
    scale = float(world.memory.get("latency", 1.0))
    return world.random.uniform(*SPANS[kind]) * scale if scale > 0 else 0.0
