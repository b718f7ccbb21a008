"""One ARM request on its way through the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.arm.target import Target
from sandbox.identity import Claims
from sandbox.wire import Answer, Call, Json, Refused
from sandbox.world import World


@dataclass(frozen=True)
class Request:
    """Call, what it is about, and who calls. `names`: what spells the names of members in its body."""

    call: Call
    target: Target
    claims: Claims
    names: Callable[[Json], Json] = field(default=lambda body: body)

    @property
    def api_version(self) -> str:
        """The version asked for, like "2026-09-01"."""
        return self.call.query.get("api-version", "")

    def body(self) -> Json:
        """Return the body, its members as the service names them; one that is no JSON object raises Refused 400
        (InvalidRequestContent).
        """
        found: Any = self.call.json()
        if not isinstance(found, dict):
            raise Refused(400, "InvalidRequestContent", "The request content was invalid: a JSON object is expected.")
        return self.names(found)

    def properties(self) -> Json:
        """Return the body's `properties` ({} when absent); anything but an object raises Refused 400."""
        found = self.body().get("properties")
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise Refused(400, "InvalidRequestContent", "The request content was invalid: properties is no object.")
        return found


Operation = Callable[[World, Request], Answer]
