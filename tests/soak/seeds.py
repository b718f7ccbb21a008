"""From a seed to its run, and what is wrong with it."""

from __future__ import annotations

import gc
import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from sandbox.estate import build_world
from sandbox.identity import identity_header
from sandbox.transport import IDENTITY_ENDPOINT
from sandbox.virtual import VirtualClock, run
from shared.adapters import resource_graph
from tests.soak.estates import drawn
from tests.soak.hosted import Hosted
from tests.soak.judge import unswept
from tests.soak.run import Run
from tests.support.azure import START

HOSTED = 40  # every so many seeds the app runs under the function host, which costs four times as much
PAGED = 4  # every so many seeds Resource Graph's pages are short
TOLD = 5  # every so many seeds events alone have to bring everything about
SPREAD = (0, 0, 300)  # seconds until a grant is known everywhere


def soak(seed: int) -> Run:
    """Carry out the run of a seed and return it for judging."""
    described, late, enforces = drawn(random.Random(f"estate {seed}"))

    async def main(clock: VirtualClock) -> Run:
        world = build_world(described, clock=clock)
        world.memory.setdefault("vault", {})["propagation"] = SPREAD[seed % len(SPREAD)]
        identity = {"IDENTITY_ENDPOINT": IDENTITY_ENDPOINT, "IDENTITY_HEADER": identity_header(world)}
        page = 3 if seed % PAGED == 0 else resource_graph.PAGE
        with mock.patch.dict(os.environ, identity), mock.patch.object(resource_graph, "PAGE", page), _quietly():
            one = (Hosted if seed % HOSTED == 0 else Run)(seed, world, late, enforces, seed % TOLD == 3)
            await one.settle()
            one.untold = unswept(one)
            await one.end()
            return one

    return run(main, seed=seed, start=START)


@contextmanager
def _quietly() -> Iterator[None]:
    """Let nobody log, for a run of trouble is one long complaint; and let no garbage be collected until it is over."""
    before, collects = logging.root.manager.disable, gc.isenabled()
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        yield
    finally:
        logging.disable(before)
        if collects:
            gc.enable()
