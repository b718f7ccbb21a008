"""All settings, read at one place. Every problem is collected, so that `health` can show them all at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from shared.adapters.switch import OFF, ON
from shared.domain.plan import Own

ROOT = Path(__file__).resolve().parents[1]  # the app's folder
_HOST_PATTERN = re.compile(r"[a-z0-9*?.\[\]-]+")


class Settings(Struct, frozen=True):
    """What the app is told from outside. Names in brackets are those of the environment."""

    cloud: str  # [CMK_CLOUD] AzureCloud (default), AzureUSGovernment or AzureChinaCloud
    vaults: tuple[str, ...]  # [CMK_VAULTS] host names or globs the app may talk to besides those it finds
    on_own_machine: bool  # [AZURE_FUNCTIONS_ENVIRONMENT] Development, as Core Tools sets it, and no managed identity
    identity_client_id: str  # [CMK_IDENTITY_CLIENT_ID] user-assigned identity; empty: the system-assigned one
    outcome_topic: str  # [CMK_OUTCOME_TOPIC] endpoint of a custom Event Grid topic; empty: none
    queue_service_uri: str  # [AzureWebJobsStorage__queueServiceUri or AzureWebJobsStorage__accountName]
    queue_connection: str  # [AzureWebJobsStorage] connection string, for development
    policy: Path  # [CMK_POLICY] a file; a name without a folder lies beside function_app.py. Default: policy.yaml
    evidence: (
        str  # [CMK_EVIDENCE] URL of a blob container, a folder, or off; default: a container of the host's account
    )
    own: Own  # [CMK_OWN_RESOURCE_GROUP] an id; else WEBSITE_OWNER_NAME with WEBSITE_RESOURCE_GROUP; the queue's account

    @property
    def evidence_host(self) -> str:
        """Return the blob host that evidence goes to; "" where it goes to a folder or nowhere."""
        return urlsplit(self.evidence).hostname or "" if self.evidence.startswith("https://") else ""


class Problem(Struct, frozen=True):
    """Something wrong with a setting, in words that name it."""

    setting: str
    text: str


EVIDENCE = "CMK_EVIDENCE"
CONTAINER = "cmk-evidence"
FOLDER = ".sandbox/evidence"
WRITES = "CMK_WRITES"  # on (default) or off; looked up before every write, so it is no part of Settings


def read(environ: Mapping[str, str], clouds: Mapping[str, str]) -> tuple[Settings, tuple[Problem, ...]]:
    """Return the settings and all that is wrong with them. `clouds`: storage suffix by cloud name."""
    problems: list[Problem] = []
    cloud = environ.get("CMK_CLOUD", "") or "AzureCloud"
    if cloud not in clouds:
        problems.append(Problem("CMK_CLOUD", f"{cloud!r} is none of {', '.join(sorted(clouds))}"))
        cloud = "AzureCloud"
    vaults = tuple(part.strip().lower() for part in environ.get("CMK_VAULTS", "").split(",") if part.strip())
    problems += [
        Problem("CMK_VAULTS", f"{vault!r} is no host name or pattern")
        for vault in vaults
        if not _HOST_PATTERN.fullmatch(vault)
    ]
    topic = environ.get("CMK_OUTCOME_TOPIC", "")
    if topic and not topic.startswith("https://"):
        problems.append(Problem("CMK_OUTCOME_TOPIC", "must be an https endpoint"))
        topic = ""
    uri, connection = _queue(environ, clouds[cloud])
    if not uri and not connection:
        problems.append(Problem("AzureWebJobsStorage", "no storage account for the queue; set __queueServiceUri"))
    if (writes := environ.get(WRITES, "on").strip().lower()) not in ON | OFF:
        problems.append(Problem(WRITES, f"{writes!r} is neither on nor off, and counts as off"))
    try:
        evidence = _evidence(environ, clouds[cloud], uri, connection)
    except ValueError as error:
        problems.append(Problem(EVIDENCE, str(error)))
        evidence = ""
    own = _own(environ, uri, connection, evidence)
    if environ.get("WEBSITE_SITE_NAME") and not own.resource_groups:
        problems.append(Problem("CMK_OWN_RESOURCE_GROUP", "the app's own resource group is not known; set its id"))
    settings = Settings(
        cloud,
        vaults,
        environ.get("AZURE_FUNCTIONS_ENVIRONMENT") == "Development" and "IDENTITY_ENDPOINT" not in environ,
        environ.get("CMK_IDENTITY_CLIENT_ID", ""),
        topic,
        uri,
        connection,
        ROOT / (environ.get("CMK_POLICY", "") or "policy.yaml"),
        evidence,
        own,
    )
    return settings, tuple(problems)


def _queue(environ: Mapping[str, str], storage_suffix: str) -> tuple[str, str]:
    uri = environ.get("AzureWebJobsStorage__queueServiceUri", "").rstrip("/")
    account = environ.get("AzureWebJobsStorage__accountName", "")
    if not uri and account:
        uri = f"https://{account}.queue{storage_suffix}"
    return uri, "" if uri else environ.get("AzureWebJobsStorage", "")


def _evidence(environ: Mapping[str, str], storage_suffix: str, uri: str, connection: str) -> str:
    """Return the container's URL, a folder, or "". Raises ValueError with what is wrong."""
    written = environ.get(EVIDENCE, "").strip()
    if written.lower() in OFF:
        return ""
    if not written:
        written = _evidence_by_default(environ, storage_suffix, uri, connection)
    if written.startswith(("https:", "http:")):
        blobs = rf"https://[a-z0-9]+\.blob{re.escape(storage_suffix)}/[a-z0-9](?:-?[a-z0-9]){{2,62}}"
        if not re.fullmatch(blobs, written.lower().rstrip("/")):
            raise ValueError(
                f"must be https://ACCOUNT.blob{storage_suffix}/CONTAINER"
            )  # not echoed: it may hold a signature
        return written.lower().rstrip("/")
    if written and environ.get("WEBSITE_SITE_NAME"):
        raise ValueError("a folder keeps nothing on Azure: name a blob container, or say off")
    return written


def _evidence_by_default(environ: Mapping[str, str], storage_suffix: str, uri: str, connection: str) -> str:
    """Return a container of the account that the host and the queue use; for development storage a folder."""
    blobs = environ.get("AzureWebJobsStorage__blobServiceUri", "").rstrip("/")
    account = environ.get("AzureWebJobsStorage__accountName", "") or _account_of(uri, connection)
    if not blobs and account:
        blobs = f"https://{account}.blob{storage_suffix}"
    if re.search(r"UseDevelopmentStorage=true|devstoreaccount1", blobs or connection, re.IGNORECASE):
        return FOLDER
    return f"{blobs}/{CONTAINER}" if blobs else ""


def _account_of(uri: str, connection: str) -> str:
    named = re.search(r"(?:^|;)AccountName=([^;]+)", connection, re.IGNORECASE)
    return uri.removeprefix("https://").partition(".")[0] if uri else named.group(1) if named else ""


def _own(environ: Mapping[str, str], uri: str, connection: str, evidence: str) -> Own:
    """Return what the app stands on. WEBSITE_OWNER_NAME is "{subscription}+{plan's group and region}"."""
    subscription = environ.get("WEBSITE_OWNER_NAME", "").partition("+")[0]
    group = environ.get("WEBSITE_RESOURCE_GROUP", "")
    groups = {environ.get("CMK_OWN_RESOURCE_GROUP", "").lower().rstrip("/")} - {""}
    if subscription and group:
        groups.add(f"/subscriptions/{subscription}/resourcegroups/{group}".lower())
    kept_in = evidence.removeprefix("https://").partition(".")[0] if evidence.startswith("https://") else ""
    accounts = {_account_of(uri, connection), kept_in}
    return Own(frozenset(groups), frozenset(one.lower() for one in accounts if one))
