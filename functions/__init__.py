"""One module per trigger. Each parses, calls one use case and translates what came of it."""

from __future__ import annotations

from functions.audit import blueprint as audit
from functions.converge import blueprint as converge
from functions.enforce import blueprint as enforce
from functions.evidence import blueprint as evidence
from functions.health import blueprint as health
from functions.key_events import blueprint as key_events
from functions.poison import blueprint as poison
from functions.replay import blueprint as replay
from functions.resource_events import blueprint as resource_events
from functions.revert import blueprint as revert
from functions.revoke import blueprint as revoke
from functions.rotate import blueprint as rotate
from functions.sweep import blueprint as sweep
from functions.use_key import blueprint as use_key
from functions.work import blueprint as work

BLUEPRINTS = (
    health,
    converge,
    enforce,
    rotate,
    use_key,
    revert,
    revoke,
    audit,
    replay,
    evidence,
    key_events,
    resource_events,
    work,
    poison,
    sweep,
)

__all__ = ["BLUEPRINTS"]
