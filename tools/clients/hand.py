"""The app runs while az changes things: an edit by az is repaired by its own event, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from tools.clients import az, custodian
from tools.clients.azure import KEY, NEW, OLD, PINNED, VAULT, Azure, WrongError, account_id
from tools.clients.looks import expect, key_has, pinned, printed
from tools.clients.steps import Client, Done, Look, Row, Step

_SUBJECT: Final = account_id(PINNED).lower()
SECONDS: Final = 60.0  # for an event, a queue and a write
_SOURCE: Final = "event"
_WRITTEN: Final = "Microsoft.Resources.ResourceWriteSuccess"
_VERSION_MADE: Final = "Microsoft.KeyVault.KeyNewVersionCreated"


def rows(person: Client, other: Client | None) -> Iterator[Row]:
    """Run the commands one after the other; each waits until the app has answered it."""
    yield person.run(az.LOGIN)
    yield person.run(Step(_pin(NEW), (_settles(pinned(PINNED, NEW)),)))
    yield person.run(Step(_pin(OLD), (_printed_version(OLD), _repaired(_WRITTEN, lambda _: NEW))))
    yield person.run(replace(az.REST[1], looks=(_repaired(_WRITTEN, lambda _: NEW),)))
    yield person.run(
        Step(
            ("az", "keyvault", "key", "rotate", "--vault-name", VAULT, "-n", KEY),
            (key_has(KEY, az.MOST), _repaired(_VERSION_MADE, lambda azure: str(azure.latest()["version"]))),
        )
    )
    if other is not None:
        custodian.prepare(other)
        yield other.run(Step(custodian.command("accounts-tagged"), (_still_at_the_latest,)))
    yield person.run(
        Step(("az", "storage", "account", "show", "-n", PINNED, "-g", "rg-data"), (_still_at_the_latest, _healthy))
    )


def _pin(version: str) -> tuple[str, ...]:
    return az.update(PINNED, "--encryption-key-version", version)


_printed_version: Final = partial(printed, "encryption.keyVaultProperties.keyVersion")


def _settles(look: Look) -> Look:
    """Return a look that waits until the given one finds nothing wrong; what it found last is what is raised."""

    def looked(done: Done, azure: Azure) -> None:
        found = [""]

        def fine() -> bool:
            try:
                look(done, azure)
            except WrongError as problem:
                found[0] = str(problem)
                return False
            return True

        try:
            azure.until(fine, SECONDS, "not repaired")
        except WrongError as late:
            raise WrongError(f"{late}: {found[0]}") from late

    return looked


def _repaired(event_type: str, target: Callable[[Azure], str]) -> Look:
    """Look whether the account is on the target, and the app's report of its last write names such an event."""

    def look(done: Done, azure: Azure) -> None:
        version = target(azure)
        _settles(pinned(PINNED, version))(done, azure)
        azure.until(lambda: bool(_writes(azure, version, event_type)), SECONDS, f"a write because of {event_type}")
        event = _writes(azure, version, event_type)[-1]["item"]["cause"]["event_id"]
        written = [
            one
            for one in azure.ask("calls?kind=write&limit=1000")["value"]
            if one["clientRequestId"] == event and account_id(PINNED).lower() in one["url"].lower()
        ]
        expect("PATCHes by the app because of this event", len(written), 1)

    return look


def _writes(azure: Azure, version: str, event_type: str) -> list[dict[str, Any]]:
    """Return the reports of writes to the account by the newest of the app's writes, if it fits."""
    reports = [one["data"] for one in azure.ask("outcomes")["value"] if one["subject"].lower() == _SUBJECT]
    written = [one for one in reports if one.get("wrote")][-1:]
    return [
        one
        for one in written
        if one["item"]["cause"]["source"] == _SOURCE
        and one["item"]["cause"]["event_type"] == event_type
        and one["wrote"][-1]["after"]["version"] == version
    ]


def _still_at_the_latest(done: Done, azure: Azure) -> None:
    _settles(pinned(PINNED, str(azure.latest()["version"])))(done, azure)


def _healthy(_: Done, azure: Azure) -> None:
    expect("the app is healthy", azure.of_app("/api/health").get("healthy"), True)
    expect("dead letters", azure.ask("deadletters")["value"], [])
