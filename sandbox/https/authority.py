"""The private certificate authority: made anew for each run, its key never leaves the process."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import certifi
import trustme


@dataclass(frozen=True)
class TrustFiles:
    """Where clients find what to trust: `ca` alone, or `bundle` with the usual authorities as well."""

    ca: Path
    bundle: Path


class Authority:
    """Issues a certificate for each host name that is asked for, once."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name="Azure on your own machine")
        self._contexts: dict[str, ssl.SSLContext] = {}

    def context(self, host: str) -> ssl.SSLContext:
        """Return the server side's TLS settings for a host name."""
        found = self._contexts.get(host)
        if found is None:
            found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._ca.issue_cert(host, common_name=host[:64]).configure_cert(found)
            self._contexts[host] = found
        return found

    def client_context(self) -> ssl.SSLContext:
        """Return TLS settings for a client in this process that trusts this authority only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context

    def write(self, folder: Path) -> TrustFiles:
        """Write ca.pem and bundle.pem (the usual authorities and ours) into a folder, which is made when missing."""
        folder.mkdir(parents=True, exist_ok=True)
        files = TrustFiles((folder / "ca.pem").resolve(), (folder / "bundle.pem").resolve())
        ours = self._ca.cert_pem.bytes()
        files.ca.write_bytes(ours)
        files.bundle.write_bytes(Path(certifi.where()).read_bytes().rstrip() + b"\n" + ours)
        return files
