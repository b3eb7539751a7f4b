"""What may be the user's and did not reach them: events that were given up or wait, and purchases that are nobody's."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import format_time, from_datetime
from common.identifiers import FeatureCode, UserId
from writer.domain import fate
from writer.domain.catalogue import Definition
from writer.domain.sources import Item
from writer.operations import unassigned
from writer.operations.projects import Project
from writer.operations.unassigned import UnassignedObject

MOST_NOBODYS: Final = 200
"""Purchases of nobody's that are looked at, beside those that name the user."""

MOST_EVENTS: Final = 500
"""Events of each kind whose payload is looked into; those received last."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """By what a user is recognised in what Stripe says."""

    project: Project
    user: UserId
    customers: Collection[str]
    objects: Collection[str]
    """The user's subscriptions and purchases."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event that was not applied, `parked` or `pending`, and by what it is the user's."""

    id: str
    status: str
    about: Json


@dataclass(frozen=True, slots=True)
class Nobodys:
    """A purchase or subscription of nobody's. `email`: its customer's, as an event told it."""

    found: UnassignedObject
    features: frozenset[FeatureCode]
    """What it would give by the catalogue in force."""
    email: str | None
    named: bool
    """By customer, metadata or address it is this user's."""


async def events(connection: AsyncConnection, names: Names) -> list[Event]:
    """Those that are about the user, as far as the objects in them tell; newest first."""
    rows = await connection.execute(_STUCK, {"most": MOST_EVENTS})
    return [_event(row, why) for row in rows if (why := _why(row, names)) is not None]


async def nobodys(connection: AsyncConnection, names: Names, definition: Definition) -> list[Nobodys]:
    """What is nobody's in the project, the newest first; before all what is surely this user's."""
    parameters = {"user_id": names.user, "customers": list(names.customers), "most": MOST_NOBODYS}
    named = {row.id: row.named for row in await connection.execute(_NEWEST, parameters)}
    if not named:
        return []
    found = await unassigned.list_all(connection, names.project.public_id, ended=False, ids=[*named])
    sold = defaultdict(list)
    for row in await connection.execute(_SOLD, {"ids": [*named]}):
        sold[row.id].append(Item(row.price_id, row.product_id, row.quantity))
    customers = [one.customer_id for one in found if one.customer_id is not None]
    emails = _emails((await connection.execute(_TOLD, {"ids": [*named, *customers]})).all())

    def told(one: UnassignedObject) -> Nobodys:
        features = frozenset(code for code in definition.features if fate.gives(sold[one.id], code, definition))
        email = emails.get(one.customer_id or "") or emails.get(one.id)
        is_same = email is not None and email.casefold() == names.user.casefold()
        return Nobodys(one, features, email, named[one.id] or is_same)

    return sorted(map(told, reversed(found)), key=lambda one: not one.named)


def _emails(rows: Sequence[Row[Any]]) -> dict[str, str]:
    found = {}
    for row in rows:
        source = _object(row.payload)
        details = source.get("customer_details")
        told = source.get("email") or source.get("customer_email")
        email = told or (details.get("email") if isinstance(details, dict) else None)
        if isinstance(email, str):
            found[str(row.object_id)] = email
    return found


def _event(row: Row[Any], why: str) -> Event:
    about = {
        "type": row.type,
        "object_id": row.object_id,
        "attempts": row.attempts,
        "reason": row.last_error,
        "created": format_time(from_datetime(row.created)),
        "received_at": format_time(from_datetime(row.received_at)),
        "theirs_by": why,
    }
    return Event(row.id, row.status, about)


def _why(row: Row[Any], names: Names) -> str | None:
    """By what an event is the user's; None: nothing says so."""
    if row.object_id in names.objects or row.object_id in names.customers:
        return str(row.object_id)
    source = _object(row.payload)
    metadata = source.get("metadata")
    if isinstance(metadata, dict) and metadata.get("user_id") == names.user:
        return "metadata" if metadata.get("project_id") in {None, names.project.public_id} else None
    if source.get("client_reference_id") == names.user:
        return "client_reference_id"
    return next((told for told in _linked(source) if told in names.customers or told in names.objects), None)


def _linked(source: Json) -> Iterator[str]:
    for name in ("customer", "subscription"):
        linked = source.get(name)
        linked = linked.get("id") if isinstance(linked, dict) else linked
        if isinstance(linked, str):
            yield linked


def _object(payload: bytes) -> Json:
    """The object in an event's payload; empty where it has none that can be read."""
    try:
        source = orjson.loads(payload)["data"]["object"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    return source if isinstance(source, dict) else {}


_STUCK: Final = text("""
(SELECT id, status, type, object_id, created, received_at, attempts, last_error, payload
FROM webhook_events WHERE status = 'parked' ORDER BY received_at DESC LIMIT :most)
UNION ALL
(SELECT id, status, type, object_id, created, received_at, attempts, last_error, payload
FROM webhook_events WHERE status = 'pending' ORDER BY next_attempt_at LIMIT :most)
""")

_SOLD: Final = text("""
SELECT subscription_id AS id, price_id, product_id, quantity FROM subscription_items
WHERE subscription_id = ANY(CAST(:ids AS text[]))
UNION ALL SELECT purchase_id, price_id, product_id, quantity FROM purchase_lines
WHERE purchase_id = ANY(CAST(:ids AS text[]))
""")

_NEWEST: Final = text("""
SELECT n.id, coalesce(n.customer_id = ANY(CAST(:customers AS text[])), false)
    OR coalesce(n.metadata->>'user_id' = :user_id, false) AS named
FROM (
    SELECT id, customer_id, metadata, started_at AS since FROM subscriptions
    WHERE unassigned_reason IS NOT NULL AND status NOT IN ('canceled', 'incomplete_expired')
    UNION ALL SELECT id, customer_id, metadata, completed_at FROM purchases WHERE unassigned_reason IS NOT NULL
) n ORDER BY named DESC, n.since DESC, n.id LIMIT :most
""")

_TOLD: Final = text("""
SELECT DISTINCT ON (object_id) object_id, payload FROM webhook_events
WHERE object_id = ANY(CAST(:ids AS text[])) ORDER BY object_id, created DESC
""")
