"""Lists that SDKs read page by page: an answer that leads back to itself must not be read for ever, and one without a
list must not count as an empty one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from azure.core.async_paging import AsyncItemPaged
    from azure.core.pipeline import PipelineResponse

MOST_PAGES = 1_000
_OK = 200
_T = TypeVar("_T")


async def members_of(listing: Callable[..., AsyncItemPaged[_T]], *of: str) -> AsyncIterator[_T]:
    """Yield what an SDK's list of something holds. Raises ValueError when it has no end, or a page is none."""
    pages: Any = listing(*of, raw_response_hook=_holds_a_list).by_page()
    turns = Turns()
    async for page in pages:
        async for one in page:
            yield one
        turns.to(pages.continuation_token)


def _holds_a_list(answer: PipelineResponse[Any, Any]) -> None:
    response = answer.http_response
    if response.status_code == _OK:
        list_in(response.json())


def list_in(page: Any) -> list[Any]:
    """Return the members that a page names. Raises ValueError for one without a list: SDKs take it for an empty one."""
    found = page.get("value") if isinstance(page, dict) else None
    if not isinstance(found, list):
        raise ValueError("a page without a list")  # noqa: TRY004  an answer of no use, as others are
    return found


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
