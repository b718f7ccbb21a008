"""The table of services behind the door. A new host is one row here."""

from __future__ import annotations

from sandbox import arm, blobs, directory, hooks, identity, queues, search, vault
from sandbox.cloud import Site
from sandbox.eventgrid import topics

SITES = (
    Site(("management.azure.com",), arm.answer, arm.kind),
    Site((".vault.azure.net",), vault.answer, lambda _call: "vault"),
    Site(("login.microsoftonline.com", "login.windows.net"), identity.answer, lambda _call: "identity"),
    Site(("graph.microsoft.com",), directory.answer, lambda _call: "directory"),
    Site((".queue.core.windows.net",), queues.answer, lambda _call: "queue"),
    Site((".blob.core.windows.net",), blobs.answer, lambda _call: "blob"),
    Site((".search.windows.net",), search.answer, lambda _call: "search"),
    Site((".eventgrid.azure.net",), topics.answer, lambda _call: "topic"),
    Site(hooks.HOSTS, hooks.answer, lambda _call: "hook"),
)
