"""Azure Resource Manager: who calls, what it costs, which rules hold, what Event Grid is told."""

from sandbox.arm.service import answer, kind

__all__ = ["answer", "kind"]
