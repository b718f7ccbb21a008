"""Policies written by tests, as a file or as a blob, and sandbox blobs put by another hand."""

from __future__ import annotations

from pathlib import Path

from sandbox import blobs
from sandbox.cloud import Cloud
from sandbox.identity import issue
from sandbox.wire import Call
from sandbox.world import World

ALL = "  - name: all\n    rotation: fix\n"


def text(rules: str = ALL, *, writes: str = "on", more: str = "") -> str:
    """Return a policy of these rules, written as below `rules:`."""
    return f"version: 1\nwrites: {writes}\n{more}rules:\n{rules}"


class PolicyFile:
    """A policy file that somebody edits."""

    def __init__(self, folder: Path, rules: str = ALL, *, more: str = "") -> None:
        self.path = folder / "policy.yaml"
        self.write(text(rules, more=more))
        self.environ = {"CMK_POLICY": str(self.path)}

    def write(self, content: str | bytes) -> None:
        """Put another policy in its place, as editors do: a new file under the old name."""
        new = self.path.with_suffix(".new")
        new.write_bytes(content if isinstance(content, bytes) else content.encode())
        new.replace(self.path)


def allowing(folder: Path, *may: str, version: str = "keep") -> dict[str, str]:
    """Write a policy whose one rule fixes and allows this; return the setting that names it."""
    return PolicyFile(folder, f"{ALL}    version: {version}\n    may: [{', '.join(may)}]\n").environ


def put_blob(world: World, account: str, path: str, content: str) -> None:
    """Upload a blob as somebody who is not the app; its container is made first."""
    container, _, _ = path.partition("/")
    token, _ = issue(world, "another-hand", "https://storage.azure.com", world.tenant_id)
    headers = {"authorization": f"Bearer {token}", "x-ms-version": "2025-05-05"}
    base = f"https://{account}.blob.core.windows.net"
    if container not in blobs.containers(world, account):
        Cloud(world).answer(Call("PUT", f"{base}/{container}?restype=container", headers, b""))
    put = Call("PUT", f"{base}/{path}", {**headers, "x-ms-blob-type": "BlockBlob"}, content.encode())
    answer = Cloud(world).answer(put)
    assert answer.status == 201, answer.body
