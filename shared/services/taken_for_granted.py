"""What is taken of a service where no source says otherwise: the safe side of each fact, replaced by what is known.

Only documents stand behind it, it tells no version in effect, and old versions are kept for a day after a move.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from shared.domain.keys import RSA_2048_TO_4096, KeyRules
from shared.domain.service import Follow, Proven, Traits
from shared.services.pace import WORK

PINNED = Traits(
    follow=Follow.NEVER,
    reports_effective=False,
    accepts=KeyRules(RSA_2048_TO_4096),
    picks_up_within=None,
    keep_old_for=timedelta(hours=24),
    pace=WORK,
    actions=(),
    proven=Proven.DOCUMENTED,
    sources=(),
)
FOLLOWING = replace(PINNED, follow=Follow.WITHOUT_VERSION, picks_up_within=timedelta(hours=24))
