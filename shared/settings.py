"""All settings, read at one place. Every problem is collected, so that `health` can show them all at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from shared.adapters.switch import OFF, ON
from shared.domain.plan import Own
from shared.webhook_setting import FORM, WEBHOOK, Webhook, webhook

ROOT = Path(__file__).resolve().parents[1]  # the app's folder
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HOST_PATTERN = re.compile(r"[a-z0-9*?.\[\]-]+")
_DEVELOPMENT = re.compile(r"UseDevelopmentStorage=true|devstoreaccount1", re.IGNORECASE)


class Settings(Struct, frozen=True):
    """What the app is told from outside. Names in brackets are those of the environment."""

    cloud: str  # [CMK_CLOUD] AzureCloud (default), AzureUSGovernment or AzureChinaCloud
    vaults: tuple[str, ...]  # [CMK_VAULTS] host names or globs the app may talk to besides those it finds
    on_own_machine: bool  # [AZURE_FUNCTIONS_ENVIRONMENT] Development, as Core Tools sets it, and no managed identity
    identity_client_id: str  # [CMK_IDENTITY_CLIENT_ID] user-assigned identity; empty: the system-assigned one
    outcome_topic: str  # [CMK_OUTCOME_TOPIC] endpoint of a custom Event Grid topic; empty: none
    queue_service_uri: str  # [AzureWebJobsStorage__queueServiceUri or AzureWebJobsStorage__accountName]
    queue_connection: str  # [AzureWebJobsStorage] connection string, for development
    policy: str  # [CMK_POLICY] a file, by default the policy.yaml beside function_app.py, or the URL of a blob
    evidence: (
        str  # [CMK_EVIDENCE] URL of a blob container, a folder, or off; default: a container of the host's account
    )
    own: Own  # [CMK_OWN_RESOURCE_GROUP] an id; else WEBSITE_OWNER_NAME with WEBSITE_RESOURCE_GROUP; the queue's account

    first_party: dict[str, str]  # [CMK_FIRST_PARTY] application id=object id, ...: Azure's own, as this tenant has them
    state: str  # (the host's account) the container of what all instances share; "" where there is none
    webhook: Webhook | None = None  # [CMK_WEBHOOK, CMK_WEBHOOK_FORM] where messages for people go

    @property
    def evidence_host(self) -> str:
        """Return the blob host that evidence goes to; "" where it goes to a folder or nowhere."""
        return _host(self.evidence)

    @property
    def policy_host(self) -> str:
        """Return the blob host that the policy comes from; "" where it is a file."""
        return _host(self.policy)

    @property
    def blob_hosts(self) -> frozenset[str]:
        """Return every blob host that the app talks to."""
        return frozenset({self.evidence_host, self.policy_host, _host(self.state)} - {""})


class Problem(Struct, frozen=True):
    """Something wrong with a setting, in words that name it."""

    setting: str
    text: str


EVIDENCE = "CMK_EVIDENCE"
CONTAINER, STATE = "cmk-evidence", "cmk-state"
POLICY = "CMK_POLICY"
FOLDER = ".sandbox/evidence"
FIRST_PARTY = "CMK_FIRST_PARTY"
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
    try:
        policy = _policy(environ, clouds[cloud])
    except ValueError as error:
        problems.append(Problem(POLICY, str(error)))
        policy = ""
    try:
        hook = webhook(environ)
    except ValueError as error:
        problems.append(Problem(FORM if FORM in str(error) else WEBHOOK, str(error)))
        hook = None
    blobs = _blobs_of_host(environ, clouds[cloud], uri, connection)
    try:
        first_party = _first_party(environ)
    except ValueError as error:
        problems.append(Problem(FIRST_PARTY, str(error)))
        first_party = {}
    own = _own(environ, uri, connection, (evidence, policy, blobs))
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
        policy,
        evidence,
        own,
        first_party,
        f"{blobs}/{STATE}" if blobs else "",
        hook,
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
    blobs = _blobs_of_host(environ, storage_suffix, uri, connection)
    if blobs:
        return f"{blobs}/{CONTAINER}"
    named = environ.get("AzureWebJobsStorage__blobServiceUri", "") or connection
    return FOLDER if _DEVELOPMENT.search(named) else ""


def _blobs_of_host(environ: Mapping[str, str], storage_suffix: str, uri: str, connection: str) -> str:
    """Return the blob endpoint of the account that the host uses; "" for development storage."""
    blobs = environ.get("AzureWebJobsStorage__blobServiceUri", "").rstrip("/")
    account = environ.get("AzureWebJobsStorage__accountName", "") or _account_of(uri, connection)
    if not blobs and account:
        blobs = f"https://{account}.blob{storage_suffix}"
    return "" if _DEVELOPMENT.search(blobs or connection) else blobs


def _policy(environ: Mapping[str, str], storage_suffix: str) -> str:
    """Return a path or the URL of a blob. Raises ValueError with what is wrong; a URL is not echoed, for it may hold a
    signature.
    """
    written = environ.get(POLICY, "").strip()
    if not written.lower().startswith(("https:", "http:")):
        return str(ROOT / (written or "policy.yaml"))
    parts = urlsplit(written)
    blob = rf"[a-z0-9]+\.blob{re.escape(storage_suffix)}"
    plain = parts.scheme == "https" and re.fullmatch(blob, parts.netloc.lower()) and not parts.query
    if not (plain and re.fullmatch(r"/[a-z0-9](?:-?[a-z0-9]){2,62}(?:/\w[\w.-]*)+", parts.path)):
        raise ValueError(f"must be a file or https://ACCOUNT.blob{storage_suffix}/CONTAINER/NAME")
    return f"https://{parts.netloc.lower()}{parts.path}"


def _first_party(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the object ids of Azure's own applications, by application id. Raises ValueError with what is wrong."""
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in environ.get(FIRST_PARTY, "").split(","))):
        application, _, object_id = (one.strip().lower() for one in pair.partition("="))
        if not (_GUID.fullmatch(application) and _GUID.fullmatch(object_id)):
            raise ValueError(f"{pair!r} is not APPLICATION-ID=OBJECT-ID")
        found[application] = object_id
    return found


def _host(place: str) -> str:
    return urlsplit(place).hostname or "" if place.startswith("https://") else ""


def _account_of(uri: str, connection: str) -> str:
    named = re.search(r"(?:^|;)AccountName=([^;]+)", connection, re.IGNORECASE)
    return uri.removeprefix("https://").partition(".")[0] if uri else named.group(1) if named else ""


def _own(environ: Mapping[str, str], uri: str, connection: str, places: tuple[str, ...]) -> Own:
    """Return what the app stands on. WEBSITE_OWNER_NAME is "{subscription}+{plan's group and region}"."""
    subscription = environ.get("WEBSITE_OWNER_NAME", "").partition("+")[0]
    group = environ.get("WEBSITE_RESOURCE_GROUP", "")
    groups = {environ.get("CMK_OWN_RESOURCE_GROUP", "").lower().rstrip("/")} - {""}
    if subscription and group:
        groups.add(f"/subscriptions/{subscription}/resourcegroups/{group}".lower())
    accounts = {_account_of(uri, connection), *(_host(place).partition(".")[0] for place in places)}
    return Own(frozenset(groups), frozenset(one.lower() for one in accounts if one))
