"""Lists that SDKs read page by page: an answer that leads back to itself must not be read for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from azure.core.async_paging import AsyncItemPaged

MOST_PAGES = 1_000
_T = TypeVar("_T")


async def members_of(paged: AsyncItemPaged[_T]) -> AsyncIterator[_T]:
    """Yield what a list holds. Raises ValueError when it has no end."""
    pages: Any = paged.by_page()
    turns = Turns()
    async for page in pages:
        async for one in page:
            yield one
        turns.to(pages.continuation_token)


class Turns:
    """The pages that one reading of a list was sent to."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def to(self, following: str | None) -> None:
        """Note where the next page is. Raises ValueError for one that was read before, and beyond MOST_PAGES."""
        if not following:
            return
        if following in self._seen or len(self._seen) >= MOST_PAGES:
            raise ValueError("a list without an end")
        self._seen.add(following)
