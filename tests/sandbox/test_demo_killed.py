import asyncio
from pathlib import Path

import pytest

from sandbox.demo.story import Story

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(120)
def test_the_demo_ends_well_though_its_app_is_killed_in_the_middle(tmp_path: Path) -> None:
    killed = False

    def watch(story: Story) -> None:
        nonlocal killed
        app = story.sandbox.app
        if app is not None and not killed and story.ledger.standings()["verified"] >= 5:
            app.kill()
            killed = True

    story = Story(60, 7, watch, ROOT, tmp_path)
    result = asyncio.run(story.run())
    assert result.fine
    told = [line.text for line in story.lines]
    assert "the app was killed by SIGKILL (death 1); it is started again in 1 s" in told
    assert any(line.startswith("the app runs again after") for line in told)
