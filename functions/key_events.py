"""Event Grid: a key got a new version, is near its expiry or expired; a vault's access policies changed."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import app
from shared.usecases.intake import take_delivery

blueprint = func.Blueprint()


@blueprint.event_grid_trigger(arg_name="event")
async def key_events(event: str) -> None:
    """Put one item for the event. `str`: the one form that works on every library and worker, in both schemas."""
    running = app()
    await take_delivery(running.context, event, running.new_id)
