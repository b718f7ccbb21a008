"""The environment that points clients at the sandbox: the app, the Azure SDKs, az and Cloud Custodian."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from sandbox.host.keys import Keys
from sandbox.https.authority import TrustFiles
from sandbox.identity import operator_header
from sandbox.world import World


def exports(world: World, port: int, trust: TrustFiles, folder: Path, app: tuple[str, Keys] | None) -> dict[str, str]:
    """Return the variables; `app` is the running app's URL and keys."""
    proxy = f"http://127.0.0.1:{port}"
    values = {
        # Lower case wins in Python's clients when both are set, so both are.
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "SSL_CERT_FILE": str(trust.bundle),
        "REQUESTS_CA_BUNDLE": str(trust.bundle),
        "IDENTITY_ENDPOINT": f"{proxy}/msi/token",
        # Not the app's own identity: what a person changes must not look like the app's own write coming back.
        "IDENTITY_HEADER": operator_header(world),
        "AZURE_CONFIG_DIR": str((folder / "azure").resolve()),
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
        "AZURE_TENANT_ID": world.tenant_id,
    }
    first = next(iter(world.subscriptions.values()), None)
    if first is not None:
        values["AZURE_SUBSCRIPTION_ID"] = str(first["subscriptionId"])
    if app is not None:
        values |= {"CMK_APP_URL": app[0], "CMK_FUNCTION_KEY": app[1].function}
    return values


def as_shell(values: dict[str, str]) -> str:
    """Return `export NAME=value` lines for a POSIX shell."""
    return "".join(f"export {name}={quote(value)}\n" for name, value in values.items())
