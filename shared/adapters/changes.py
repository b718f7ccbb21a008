"""A change reference as Azure Resource Manager can carry it."""

from __future__ import annotations

import uuid


def correlation_of(change: str) -> str:
    """Return the correlation id of all requests that belong to a change: a GUID (version 5) of `change:REFERENCE` among
    URLs, since the header takes nothing else.

    The activity log shows it as `correlationId`, so that everything done for a change is found by it [clients may set
    the header: hashicorp/terraform-provider-azurerm pull 3253].
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"change:{change}"))
