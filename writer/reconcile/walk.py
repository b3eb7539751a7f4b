"""Walks through Stripe's lists and compares each page with what is held. It writes nothing, and so can be tried dry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Instant, from_datetime
from writer.domain.stripe.fields import ShapeError
from writer.domain.stripe.kinds import ObjectKind
from writer.domain.stripe.watermark import NOTHING_HELD, Verdict, Watermark
from writer.gateway.pages import Json
from writer.gateway.stripe_lists import Listing, Page, StripeLists
from writer.reconcile.comparing.catalogue import PRICES, PRODUCTS
from writer.reconcile.comparing.customers import CUSTOMERS
from writer.reconcile.comparing.facts import Comparison, Sides, abridged, difference
from writer.reconcile.comparing.invoices import INVOICES
from writer.reconcile.comparing.payments import DISPUTES, REFUNDS
from writer.reconcile.comparing.sessions import SESSIONS
from writer.reconcile.comparing.subscriptions import SUBSCRIPTIONS


class Standing(StrEnum):
    """How an object stands, compared with what is held."""

    SAME = "same"
    DIFFERENT = "different"
    UNKNOWN = "unknown"
    """Stripe has it, and it was never known here."""
    AHEAD = "ahead"
    """What is held is newer than the page, or an event that was just received brings the difference."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Compared:
    """One object that can matter here."""

    kind: ObjectKind
    id: str
    object: Json
    """As listed: whole, ready for `Applier.apply_object`."""
    as_of: Instant
    standing: Standing
    held: Watermark = NOTHING_HELD
    """How current the copy was that it was compared with."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What differs: `{field: [held, told]}`; why it cannot be read: `{"reason"}`."""


@dataclass(frozen=True, slots=True)
class ComparedPage:
    """A page of a list, compared. Objects that cannot matter here are left out."""

    objects: tuple[Compared, ...]
    """Those that others depend on first: customers before their subscriptions."""
    as_of: Instant
    last: str | None
    more: bool


class Walk:
    """Reads lists and compares them. It raises what StripeLists raises, and the faults of the database."""

    def __init__(self, engine: AsyncEngine, lists: StripeLists) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._lists = lists

    async def page(self, listing: Listing, *, since: Instant | None = None, after: str | None = None) -> ComparedPage:
        """The page of `listing` behind the object `after`; with `since` only what was created then or later."""
        page = await self._lists.page(listing, since=since, after=after)
        compared = []
        for kind, objects in _by_kind(page):
            compared += await self.compare(kind, objects, page.as_of)
        return ComparedPage(tuple(compared), page.as_of, page.last, page.more)

    async def compare(self, kind: ObjectKind, objects: Sequence[Json], as_of: Instant) -> list[Compared]:
        """Compare objects of one kind that were fetched as of `as_of`, in the order given."""
        comparison = _COMPARISONS[kind]
        parsed, unreadable = _parsed(comparison, objects, as_of)
        async with self._engine.connect() as connection:
            # Before the state itself: what is applied in between looks newer than what is compared with.
            watermarks = await _watermarks(connection, [one["id"] for one in objects])
            sides = await comparison.sides(connection, parsed)
        readable = [
            _compared(kind, one, as_of, sides[one["id"]], watermarks.get(one["id"], _NEVER))
            for one in objects
            if one["id"] in sides
        ]
        return [*unreadable, *readable]


@dataclass(frozen=True, slots=True)
class _Held:
    watermark: Watermark
    on_its_way: bool


_NEVER: Final = _Held(NOTHING_HELD, on_its_way=False)


def _by_kind(page: Page) -> Iterable[tuple[ObjectKind, list[Json]]]:
    """The page's objects, before them the customers that came along."""
    customers = {
        one["customer"]["id"]: one["customer"] for one in page.objects if isinstance(one.get("customer"), dict)
    }
    if customers:
        yield ObjectKind.CUSTOMER, list(customers.values())
    if page.objects:
        yield ObjectKind(page.objects[0]["object"]), list(page.objects)


def _parsed(comparison: Comparison[Any], objects: Sequence[Json], as_of: Instant) -> tuple[list[Any], list[Compared]]:
    parsed, unreadable = [], []
    for one in objects:
        try:
            parsed.append(comparison.parse(one))
        except ShapeError as error:
            detail = {"reason": str(error)}
            unreadable.append(Compared(comparison.kind, one["id"], one, as_of, Standing.UNREADABLE, detail=detail))
    return parsed, unreadable


def _compared(kind: ObjectKind, one: Json, as_of: Instant, sides: Sides, held: _Held) -> Compared:
    differing = difference(sides)
    standing = _standing(sides, held, as_of, differing=bool(differing))
    detail = abridged(differing) if standing is Standing.DIFFERENT else {}
    return Compared(kind, one["id"], one, as_of, standing, held.watermark, detail)


def _standing(sides: Sides, held: _Held, as_of: Instant, *, differing: bool) -> Standing:
    if sides.held is not None and not differing:
        return Standing.SAME
    if held.on_its_way or held.watermark.fetch(as_of) is Verdict.OLDER:
        return Standing.AHEAD
    return Standing.UNKNOWN if sides.held is None else Standing.DIFFERENT


async def _watermarks(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, _Held]:
    rows = await connection.execute(_WATERMARKS, {"ids": list(ids)})
    return {
        row.id: _Held(
            Watermark(
                None if row.event_created is None else from_datetime(row.event_created),
                None if row.fetched_at is None else from_datetime(row.fetched_at),
            ),
            row.on_its_way,
        )
        for row in rows
    }


# An event that failed, or that nobody works on, does not count as on its way.
_WATERMARKS: Final = text("""
SELECT w.id, o.event_created, o.fetched_at,
    EXISTS (SELECT FROM webhook_events e WHERE e.object_id = w.id AND e.status = 'pending' AND e.attempts = 0
        AND e.received_at > now() - interval '1 minute') AS on_its_way
FROM unnest(CAST(:ids AS text[])) AS w(id) LEFT JOIN stripe_objects o ON o.id = w.id
""")

_COMPARISONS: Final[Mapping[ObjectKind, Comparison[Any]]] = {
    one.kind: one for one in (PRODUCTS, PRICES, CUSTOMERS, SUBSCRIPTIONS, INVOICES, SESSIONS, REFUNDS, DISPUTES)
}
