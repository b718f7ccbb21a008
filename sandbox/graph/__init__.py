"""Azure Resource Graph: resources and their containers, asked in a small part of KQL, as they were a moment ago."""

from sandbox.graph.service import answer

__all__ = ["answer"]
