"""What a rule says of the end of keys and of lost access, checked."""

from __future__ import annotations

from collections.abc import Iterator

from shared.domain.life import AccessLost, NearExpiry
from shared.domain.policy import Mode, Origin, Rule
from shared.domain.service import May


def life_problems(rule: Rule) -> Iterator[tuple[str, str]]:
    """Yield what is wrong, each with the name of its field."""
    if rule.near_expiry is NearExpiry.ROTATE and rule.origin is Origin.IMPORTED:
        yield "nearExpiry", "rotate: an imported key is never rotated in the vault"
    if rule.near_expiry is NearExpiry.ROTATE and rule.rotation is not Mode.FIX:
        yield "nearExpiry", "rotate takes rotation: fix, or users would stay behind"
    if rule.access_lost is AccessLost.RESTORE and rule.rotation is not Mode.FIX:
        yield "accessLost", "restore takes rotation: fix; report writes nothing"
    if rule.access_lost is AccessLost.RESTORE and May.GRANT not in rule.may:
        yield "accessLost", "restore needs may: [grant]"
