"""The front door: one port that tells CONNECT (an Azure host behind TLS) from plain HTTP (this machine's own)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

_HEAD_LIMIT = 16_384
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Tunnel:
    """Where an accepted CONNECT leads: the TLS settings and the HTTP protocol behind them."""

    context: ssl.SSLContext
    protocol: asyncio.Protocol


Open = Callable[[str, str], Tunnel | None]  # by host name in lower case and port; None: refused
Plain = Callable[[], asyncio.Protocol]


class FrontDoor(asyncio.Protocol):
    """A connection until it is known what it is; then another protocol takes it over."""

    def __init__(self, open_: Open, plain: Plain) -> None:
        self._open = open_
        self._plain = plain
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Collect until the first word is there, and for CONNECT until the head is complete."""
        if self._transport is None:
            return
        self._buffer += data
        if not b"CONNECT ".startswith(self._buffer[:8]):
            self._hand_over(self._transport)
        elif _END in self._buffer:
            self._connect(self._transport)
        elif len(self._buffer) > _HEAD_LIMIT:
            self._refuse(self._transport, "431 Request Header Fields Too Large")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        del exc
        self._transport = None

    def _hand_over(self, transport: asyncio.Transport) -> None:
        protocol = self._plain()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self._buffer)
        self._transport = None

    def _connect(self, transport: asyncio.Transport) -> None:
        target = self._buffer.split(b" ", 2)[1].decode("latin-1").lower()
        host, _, port = target.rpartition(":")
        tunnel = self._open(host, port)
        if tunnel is None:
            self._refuse(transport, "403 Forbidden")
            return
        transport.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
        self._upgrade = asyncio.get_running_loop().create_task(_encrypt(transport, tunnel))
        self._transport = None

    @staticmethod
    def _refuse(transport: asyncio.Transport, reason: str) -> None:
        transport.write(f"HTTP/1.1 {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        transport.close()


class _Antechamber(asyncio.Protocol):
    """Holds what arrives between the end of the TLS handshake and the moment its protocol is in place."""

    def __init__(self) -> None:
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """Keep early bytes."""
        self.received += data


async def _encrypt(transport: asyncio.Transport, tunnel: Tunnel) -> None:
    early = _Antechamber()
    loop = asyncio.get_running_loop()
    try:
        secured = await loop.start_tls(transport, early, tunnel.context, server_side=True)
    except (OSError, ssl.SSLError):  # the client went away, or does not trust our authority: its own log says so
        transport.abort()
        return
    if secured is None or secured.is_closing():
        return
    secured.set_protocol(tunnel.protocol)
    tunnel.protocol.connection_made(secured)
    if early.received:
        tunnel.protocol.data_received(early.received)
