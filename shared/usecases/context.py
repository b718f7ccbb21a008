"""What every use case is handed: the ports, the services, and what the app knows of itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from msgspec import Struct

from shared.domain.plan import Own
from shared.domain.service import Service
from shared.ports import Ports
from shared.usecases.pacing import Pacer
from shared.usecases.recent import Recent

FRESH = timedelta(seconds=5)  # the oldest knowledge of a key that anything is decided on


class Context(Struct, frozen=True):
    """The ports and the few facts that use cases share. Made once, by bootstrap."""

    ports: Ports
    services: Mapping[str, Service]  # by ARM type in lower case
    own: Own
    recent: Recent
    pacer: Pacer
    vault_suffix: str  # ".vault.azure.net"
    first_party: Mapping[str, str] = MappingProxyType({})  # object ids of Azure's own applications, by application id

    def service(self, type_: str) -> Service | None:
        """Return the service of an ARM type in any case, or None."""
        return self.services.get(type_.lower())
