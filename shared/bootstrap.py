"""The one place where everything is put together. Nothing here runs at import: the first call builds."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from shared import settings as settings_module
from shared.adapters.arm import Arm
from shared.adapters.azure_time import AzureTime
from shared.adapters.beforehand import ArmBeforehand
from shared.adapters.clouds import CLOUDS
from shared.adapters.connection import (
    Connection,
    MakeCredential,
    MakeTransport,
    aiohttp_transport,
    managed_identity,
    signed_in_user,
)
from shared.adapters.evidence import EvidenceSink, Store
from shared.adapters.evidence_blobs import BlobStore
from shared.adapters.evidence_folder import FolderStore
from shared.adapters.evidence_reading import EvidenceReader, NoEvidence
from shared.adapters.grants import RoleGrants
from shared.adapters.journal import Journals, LogSink, Sink, TopicSink
from shared.adapters.keys import VaultKeys
from shared.adapters.keys_arm import KeysThroughArm
from shared.adapters.myself import TokenClaims
from shared.adapters.policy_blob import from_blob
from shared.adapters.policy_file import WatchedPolicy, from_file
from shared.adapters.resource_graph import ResourceGraph
from shared.adapters.resources import RoutedResources
from shared.adapters.search_objects import SearchObjects
from shared.adapters.storage_accounts import StorageAccounts
from shared.adapters.subscriptions import ArmSubscriptions
from shared.adapters.switch import KillSwitch
from shared.adapters.turns import OwnTurns
from shared.adapters.turns_blob import BlobTurns
from shared.adapters.vault_changes import VaultChanges
from shared.adapters.vault_reading import VaultReading
from shared.adapters.vaults import VaultInventory
from shared.adapters.webhook import WebhookSink
from shared.adapters.work_queue import QueueSite, StorageWorkQueue
from shared.domain.plain import one_line
from shared.ports import Ports, correlation
from shared.services.registry import services
from shared.settings import Problem, Settings
from shared.usecases.context import Context
from shared.usecases.health import Checkup
from shared.usecases.pacing import Pacer
from shared.usecases.recent import Recent

_LOG = logging.getLogger("cmk")
_LONGEST_LINE = 4000


class SystemClock:
    """Implements ports.Clock."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)


class App(Struct):
    """What the triggers work with."""

    context: Context
    journals: Journals
    checkup: Checkup
    problems: tuple[Problem, ...]
    new_id: Callable[[], str]


def build(
    environ: Mapping[str, str],
    *,
    make_transport: MakeTransport = aiohttp_transport,
    make_credential: MakeCredential | None = None,
) -> App:
    """Put the app together. A wrong setting does not stop it: `health` shows it, and what needs it says so."""
    settings, problems = settings_module.read(environ, {name: one.storage_suffix for name, one in CLOUDS.items()})
    bare = frozenset({settings.webhook.host} if settings.webhook else ())
    cloud = replace(CLOUDS[settings.cloud], blob_hosts=settings.blob_hosts, bare_hosts=bare)
    if make_credential is None and settings.on_own_machine:
        make_credential = signed_in_user
    clock = AzureTime(SystemClock())
    connection = Connection(
        cloud, make_transport, make_credential or (lambda: managed_identity(settings.identity_client_id)), clock
    )
    arm = Arm(connection)
    graph = ResourceGraph(connection, clock, arm)
    fetch = from_blob(connection, settings.policy) if settings.policy_host else from_file(Path(settings.policy))
    policies = WatchedPolicy(fetch, clock)
    vaults = VaultInventory(connection, graph, clock, settings.vaults)
    sinks: list[Sink] = [LogSink()]
    store = _evidence_store(connection, settings)
    if store is not None:
        sinks.append(EvidenceSink(store, new_id))
    if settings.outcome_topic:
        sinks.append(TopicSink(connection, settings.outcome_topic, new_id))
    if settings.webhook is not None:
        sinks.append(WebhookSink(connection, settings.webhook.url, settings.webhook.form, clock))
    journals = Journals(tuple(sinks), clock.now)
    myself = TokenClaims(connection)
    ports = Ports(
        clock=clock,
        resources=RoutedResources(StorageAccounts(connection), SearchObjects(connection, arm, clock), arm),
        lists=arm,
        finder=graph,
        vaults=vaults,
        keys=VaultKeys(connection, clock, KeysThroughArm(vaults, clock)),
        vault_facts=VaultReading(arm),
        vault_changes=VaultChanges(vaults, clock),
        subscriptions=ArmSubscriptions(arm, clock),
        grants=RoleGrants(arm, clock),
        beforehand=ArmBeforehand(arm, myself),
        queue=StorageWorkQueue(connection, QueueSite(settings.queue_service_uri, settings.queue_connection), clock),
        journal=journals,
        switch=KillSwitch(lambda: environ.get(settings_module.WRITES, "on"), policies),
        policies=policies,
        turns=BlobTurns(connection, settings.state, clock) if settings.state else OwnTurns(clock),
        myself=myself,
        evidence=EvidenceReader(store) if store is not None else NoEvidence(),
    )
    context = Context(ports, services(), settings.own, Recent(), Pacer(), cloud.vault_suffix, settings.first_party)
    return App(context, journals, Checkup(context, clock.trouble), problems, new_id)


def _evidence_store(connection: Connection, settings: Settings) -> Store | None:
    if settings.evidence_host:
        return BlobStore(connection, settings.evidence)
    return FolderStore(settings.evidence) if settings.evidence else None


def new_id() -> str:
    """Return a new correlation id."""
    return str(uuid.uuid4())


@cache
def app() -> App:
    """Return the app of this process, built at the first call."""
    _put_correlation_on_every_line()
    # The SDKs tell of every request; ours say what it was for. As warnings they tell of whole bodies that they cannot
    # read, and azure-identity's may have a token in it.
    logging.getLogger("azure").setLevel(logging.ERROR)
    return build(os.environ)


class _Correlated(logging.Filter):
    """Puts the correlation id in front of each line of ours, and keeps each on one line."""

    def filter(self, record: logging.LogRecord) -> bool:
        # What others wrote (events, messages on the queue, Azure's answers) must not begin lines of its own.
        record.msg, record.args = one_line(f"[{correlation.get() or '-'}] {record.getMessage()}", _LONGEST_LINE), ()
        return True


def _put_correlation_on_every_line() -> None:
    if not any(isinstance(one, _Correlated) for one in _LOG.filters):
        _LOG.addFilter(_Correlated())
