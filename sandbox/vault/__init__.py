"""Key Vault's data plane for keys. Secrets, certificates and signatures are not in the sandbox."""

from sandbox.vault.service import answer
from sandbox.vault.timed import advance, due, watch

__all__ = ["advance", "answer", "due", "watch"]
