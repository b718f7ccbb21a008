import asyncio
from collections.abc import Iterator

import pytest

from sandbox import virtual
from sandbox.keeper import AppFailedError, Keeper, Patience
from sandbox.virtual import VirtualClock


class Mortal:
    """A process that lives as long as it is told, life by life; a life of None does not even begin."""

    def __init__(self, *lives: float | None) -> None:
        self.born: list[float] = []  # seconds since the start
        self.told: list[str] = []
        self._lives: Iterator[float | None] = iter(lives)
        self._life = next(self._lives) or 0.0

    async def ended(self) -> int:
        await asyncio.sleep(self._life)
        return -9

    async def start(self) -> None:
        life = next(self._lives, 1e9)
        if life is None:
            raise AppFailedError("broken")
        self._life = life
        self.born.append(asyncio.get_running_loop().time())


def _kept(mortal: Mortal, seconds: float, patience: Patience | None = None) -> None:
    async def run(_: VirtualClock) -> None:
        keeper = Keeper(
            mortal.ended,
            mortal.start,
            tell=mortal.told.append,
            tail=lambda: "last line",
            patience=patience or Patience(),
        )
        begun = asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(keeper.run(), seconds)
        except TimeoutError:
            pass
        finally:
            mortal.born = [round(one - begun, 1) for one in mortal.born]

    virtual.run(run)


def test_each_wait_is_twice_as_long_as_the_one_before_and_thirty_seconds_at_most() -> None:
    mortal = Mortal(*[20.0] * 9)
    _kept(mortal, 400)
    lives = zip([0.0, *mortal.born], mortal.born, strict=False)
    assert [round(later - earlier - 20) for earlier, later in lives][:7] == [1, 2, 4, 8, 16, 30, 30]


def test_whoever_lived_for_a_minute_is_started_after_a_second_again() -> None:
    mortal = Mortal(20, 20, 70, 1)
    _kept(mortal, 200)
    assert mortal.born == [21.0, 43.0, 114.0, 117.0]


def test_five_deaths_within_a_minute_are_the_end_and_starts_that_fail_count() -> None:
    mortal = Mortal(1, 1, None, None, 1)
    with pytest.raises(AppFailedError, match="5 deaths within 60 s, at last the app was killed by SIGKILL:\nlast line"):
        _kept(mortal, 200)
    assert mortal.told == [
        "the app was killed by SIGKILL (death 1); it is started again in 1 s",
        "the app runs again after 1.0 s",
        "the app was killed by SIGKILL (death 2); it is started again in 2 s",
        "the app did not start (death 3); it is started again in 4 s",
        "the app did not start (death 4); it is started again in 8 s",
        "the app runs again after 8.0 s",
    ]
