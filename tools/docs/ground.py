"""The part of docs/services.md on what every service stands on: a vault, a key in it, an identity, and a grant."""

from __future__ import annotations

from msgspec import Struct

from shared.domain.reasons import Reason
from shared.domain.service import May, Service, Traits
from shared.domain.vault import MOST_POLICIES, ROLES, WRAPPING


class _Row(Struct, frozen=True):
    """One thing that must be so: else the reason why nothing is done, and the words under which the app sees to it."""

    what: str
    must: str
    reasons: tuple[Reason, ...]
    may: tuple[May, ...] = ()
    by_app: str = "never by the app"


_HARDEN = (May.HARDEN, May.IRREVERSIBLE)
_ROWS = (
    _Row("vault", "known to the app, in its subscriptions or by a setting", (Reason.VAULT_NOT_KNOWN,)),
    _Row("vault", "soft delete and purge protection on", (Reason.VAULT_NOT_PROTECTED,), _HARDEN),
    _Row("vault", "open to trusted services, if it has a firewall", (Reason.VAULT_CLOSED,)),
    _Row("vault", "in the tenant of the resource's identity", (Reason.CROSS_TENANT,)),
    _Row(
        "vault",
        "in the resource's region, where the service or the rule wants that",
        (Reason.SAME_REGION_ONLY, Reason.OTHER_REGION),
    ),
    _Row("key", "there, and not made for a certificate", (Reason.KEY_NOT_FOUND, Reason.KEY_BACKS_CERTIFICATE)),
    _Row(
        "key",
        "with a version that is enabled, valid now, and of a type and size that the service takes",
        (Reason.NO_USABLE_VERSION, Reason.KEY_TYPE_NOT_ACCEPTED),
        (May.CREATE_KEY,),
    ),
    _Row(
        "identity",
        "there, and attached to the resource",
        (Reason.IDENTITY_NOT_FOUND, Reason.PRINCIPAL_NOT_FOUND),
        by_app="attached without a word of `may`, never made",
    ),
    _Row(
        "access",
        f"{ROLES[WRAPPING.role]} (`{WRAPPING.role}`) at, above or on the key, or an access policy with"
        f" {', '.join(WRAPPING.permissions)}; {MOST_POLICIES} policies at most in a vault; where a service wants"
        " another role or more, its own table says so",
        (Reason.KEY_ACCESS_DENIED, Reason.QUOTA),
        (May.GRANT,),
    ),
)


def ground_lines(services: list[Service]) -> list[str]:
    """Return the section."""
    near = sum(1 for service in services if service.traits.same_region)
    apps = {one.name: one.id for service in services for own in traits_of(service) for one in own.applications}
    lines = [
        "## What they stand on",
        "",
        "A vault (`Microsoft.KeyVault/vaults`) uses no key of yours itself: nothing in it is moved, and it has no",
        "section below. But every resource with a key stands on one. Before a first key is used, all of this must be",
        "so; the last column has the words of a rule's `may` under which the app sees to it.",
        "",
        "| what | must be | else | under `may` |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.what} | {row.must} | {', '.join(_link(one) for one in row.reasons)} |"
        f" {', '.join(f'`{one.value}`' for one in row.may) or row.by_app} |"
        for row in _ROWS
    ]
    named = ", ".join(f"{name} (`{id_}`)" for name, id_ in sorted(apps.items()))
    return [
        *lines,
        "",
        f"Of the types below, {near} take keys of their own region only, as far as their documents say. Azure's",
        f"own applications reach the keys of some: {named}.",
        "Their object ids differ from tenant to tenant, so people grant them access; the app grants it to identities",
        "of resources only.",
    ]


def traits_of(service: Service) -> list[Traits]:
    """Return all traits of a service."""
    return [service.traits, *service.kinds.values(), *service.slots.values()]


def _link(reason: Reason) -> str:
    return f"[{reason.value}](reasons.md#{reason.value})"
