"""How fast Resource Manager lets one subscription go, for services that publish no limit of their own."""

from __future__ import annotations

from shared.domain.service import Rate

# Reads: 250 at once, then 25 a second; writes: 200, then 10. A move of a long-running kind takes a write and about
# four reads; a good part is left to others [learn request-limits-and-throttling; services.md 3].
WORK = Rate(burst=30, per_second=4)
LISTS = Rate(burst=50, per_second=5)
