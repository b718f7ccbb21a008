"""The rules by type, in lower case. A service is a row here; one with operations of its own has a row in routes too."""

from __future__ import annotations

from typing import Final

from sandbox.arm.keyed import cognitive
from sandbox.arm.keyed.rules import Keyed

TABLE: Final[dict[str, Keyed]] = {
    "microsoft.cognitiveservices/accounts": cognitive.ACCOUNTS,
    "microsoft.cognitiveservices/accounts/encryptionscopes": cognitive.SCOPES,
}
