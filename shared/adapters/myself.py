"""Who the app is: read from its own token, so that no setting can be wrong about it."""

from __future__ import annotations

import base64
import logging

import msgspec
from azure.core.exceptions import AzureError

from shared.adapters.connection import Connection

_LOG = logging.getLogger("cmk")
_PARTS = 3


class TokenClaims:
    """Implements ports.Myself."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: tuple[str, frozenset[str]] = ("", frozenset())

    async def principals(self) -> frozenset[str]:
        """Return the identity's object id and client id. Without a token nobody is known: events of our own writes then
        cost one more read each, nothing else.
        """
        try:
            token = await self._connection.credential.get_token(self._connection.cloud.arm_scope)
        except AzureError as error:
            _LOG.warning("no token for our identity; own writes cannot be told apart: %s", type(error).__name__)
            return frozenset()
        if self._known[0] != token.token:  # the SDK keeps tokens until they end; reading one again is not worth it
            self._known = (token.token, _claims(token.token))
        return self._known[1]


def _claims(token: str) -> frozenset[str]:
    parts = token.split(".")
    if len(parts) != _PARTS:
        return frozenset()
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):  # no base64, no JSON
        return frozenset()
    if not isinstance(claims, dict):
        return frozenset()
    found = (claims.get(name) for name in ("oid", "appid", "azp"))
    return frozenset(one.lower() for one in found if isinstance(one, str) and one)
