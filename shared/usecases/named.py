"""Who the lists below a resource name, such as a hub's connections: a slice at a time, however long the lists are."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from shared.domain.reasons import Reason
from shared.domain.resource import Address, BadAddress, Json, address_of
from shared.domain.service import Service
from shared.domain.work import NamedPlace
from shared.errors import NotThere, Refusal, TryLater
from shared.usecases.context import Context

MOST_MEMBERS = 100  # of lists, looked at in one handling
MOST_READS = 20  # pages of lists, read in one handling
MOST_PAGES = 1_000  # of all lists below one resource: lists that lead back to each other have no end


class Slice(Struct, frozen=True):
    """What was found, and where to go on, None at the end. `unread`: who could not be read, and why. `error`: what to
    wait for before going on.
    """

    looked_at: int = 0
    found: tuple[Address, ...] = ()
    following: NamedPlace | None = None
    unread: Refusal | None = None
    error: TryLater | None = None


async def slice_of(context: Context, service: Service, address: Address, body: Json, place: NamedPlace) -> Slice:
    """Return the next slice of what lists below a resource name. Only lists are read, which tell no secret."""
    naming, found, looked_at = service.naming(body), dict[str, Address](), 0
    unread: Refusal | None = None
    for _ in range(MOST_READS):
        if place.list >= len(naming) or looked_at == MOST_MEMBERS:
            break
        one = naming[place.list]
        try:
            page = await context.ports.lists.page_of(service, address, one.path, place.cursor)
        except NotThere:
            place = NamedPlace(place.list + 1, pages=place.pages)
            continue
        except Refusal as refusal:
            unread = Refusal(refusal.reason, f"who its {one.path} name could not be read: {refusal.detail}")
            place = NamedPlace(place.list + 1, pages=place.pages)
            continue
        except TryLater as error:
            return Slice(looked_at, tuple(found.values()), place, unread, error)
        here = page.members[place.skip : place.skip + MOST_MEMBERS - looked_at]
        looked_at += len(here)
        known = (known_address(context, id_) for member in here for id_ in one.names(member))
        found |= {known_.folded: known_ for known_ in known if known_ is not None}
        place = _next(place, place.skip + len(here), len(page.members), page.following)
        if place.pages >= MOST_PAGES:
            unread = Refusal(Reason.REFUSED, f"who its {one.path} name was not read to the end: {MOST_PAGES} pages")
            place = NamedPlace(len(naming))
    found.pop(address.folded, None)
    return Slice(looked_at, tuple(found.values()), place if place.list < len(naming) else None, unread)


def _next(place: NamedPlace, done: int, of: int, following: str) -> NamedPlace:
    if done < of:
        return replace(place, skip=done)
    if following:
        return NamedPlace(place.list, following, 0, place.pages + 1)
    return NamedPlace(place.list + 1, pages=place.pages + 1)


def known_address(context: Context, id_: str) -> Address | None:
    """Return the address that an id names, if it is one of a type that the app knows."""
    try:
        found = address_of(id_)
    except BadAddress:
        return None
    return found if context.service(found.type) is not None else None
