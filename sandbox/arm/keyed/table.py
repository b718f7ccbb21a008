"""The rules by type, in lower case. A service is a row here; one with operations of its own has a row in routes too."""

from __future__ import annotations

from typing import Final

from sandbox.arm.keyed import cognitive, compute, containers, cosmos, learning
from sandbox.arm.keyed.rules import Keyed

TABLE: Final[dict[str, Keyed]] = {
    "microsoft.cognitiveservices/accounts": cognitive.ACCOUNTS,
    "microsoft.cognitiveservices/accounts/encryptionscopes": cognitive.SCOPES,
    "microsoft.compute/diskencryptionsets": compute.SETS,
    "microsoft.containerinstance/containergroups": containers.GROUPS,
    "microsoft.containerservice/managedclusters": containers.CLUSTERS,
    "microsoft.documentdb/databaseaccounts": cosmos.ACCOUNTS,
    "microsoft.machinelearningservices/workspaces": learning.WORKSPACES,
}
