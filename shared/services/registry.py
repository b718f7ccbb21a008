"""All services, found by walking this package: a module that defines SERVICES is all a new service takes."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

import shared.services as package
from shared.domain.service import Service


class ServiceTableBroken(Exception):
    """Two modules claim one type, or a module's SERVICES is not what it should be. Stops the start."""


@cache
def services() -> Mapping[str, Service]:
    """Return every service by its ARM type in lower case."""
    found: dict[str, Service] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for service in getattr(import_module(module.name), "SERVICES", ()):
            if not isinstance(service, Service):
                raise ServiceTableBroken(f"{module.name}: SERVICES holds something that is no Service")
            if service.type.lower() in found:
                raise ServiceTableBroken(f"{module.name}: {service.type} is there twice")
            found[service.type.lower()] = service
    return MappingProxyType(found)


def service_for(type_: str) -> Service | None:
    """Return the service of an ARM type in any case, or None."""
    return services().get(type_.lower())
