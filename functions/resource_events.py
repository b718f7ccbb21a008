"""Event Grid: a resource was written or deleted."""

from __future__ import annotations

import azure.functions as func

from shared.bootstrap import app
from shared.usecases.intake import take_delivery

blueprint = func.Blueprint()


@blueprint.event_grid_trigger(arg_name="event")
async def resource_events(event: str) -> None:
    """Put one item for the event, if it is about something that holds a key."""
    running = app()
    await take_delivery(running.context, event, running.new_id)
