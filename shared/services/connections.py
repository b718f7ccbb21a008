"""Connections of AI hubs, projects and accounts: which resources they name.

A list shows category, target and metadata, and never a secret: those take an action of their own, listsecrets, which
the app never asks for [azure-rest-api-specs machinelearningservices, WorkspaceConnectionPropertiesV2; bicep-types-az
cognitiveservices 2025-06-01, accounts/connections and accounts/projects/connections].
"""

from __future__ import annotations

from shared.domain.jsonpath import lookup, text
from shared.domain.resource import Json

# Kinds of what may hold a key of its own. Metadata name the resource, by ResourceId or resourceId; a target mostly is
# an endpoint [avm-res-machinelearningservices-workspace, modules/connection; azure-ai-foundry samples].
_CATEGORIES = {
    "aiservices",
    "azureopenai",
    "cognitiveservice",
    "cognitivesearch",
    "azureblob",
    "azurestorageaccount",
    "adlsgen2",
    "cosmosdb",
}
_ID = "/subscriptions/"


def named_in(connection: Json) -> tuple[str, ...]:
    """Return the ids of the resources that a connection names; () where it is of another kind or names none."""
    properties = lookup(connection, "properties")
    if text(lookup(properties, "category")).lower() not in _CATEGORIES:
        return ()
    said = (text(lookup(properties, "metadata", "ResourceId")), text(lookup(properties, "target")))
    return tuple(dict.fromkeys(one for one in said if one.lower().startswith(_ID)))
