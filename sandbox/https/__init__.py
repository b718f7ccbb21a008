"""The sandbox's HTTPS face: a CONNECT proxy on loopback, behind which Azure's host names end at the state machine."""

from sandbox.https.authority import Authority
from sandbox.https.face import Face, PortTakenError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

__all__ = ("LOOPBACK", "Authority", "Face", "PortTakenError")
