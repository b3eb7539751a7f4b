"""History: what a user held at any time in the past and why, read back from what was kept when it changed.

A document's rows come from `entitlement_history`, which names what caused each change; what a subscription was from
`subscription_history`; which price gave a feature from the catalogue version that the document was computed with.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common import document as documents
from common.catalogue import Catalogue
from common.clock import Instant, format_time, from_datetime, to_datetime
from common.decision import decide
from common.document import Entitlement, Source
from common.identifiers import FeatureCode, UserId
from writer.domain import catalogue as definitions
from writer.domain.catalogue import Definition
from writer.operations.projects import Project
from writer.recompute import load_definition

MOST_CHANGES: Final = 1_000

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """Whose past is asked for; `feature` None: all of them."""

    project: Project
    user: UserId
    feature: FeatureCode | None = None


async def at(connection: AsyncConnection, question: Question, moment: Instant) -> Json:
    """What the user held at a moment, and why, as JSON in the public shape.

    `{"project_id", "user_id", "at", "document", "catalog_version", "features"}`: `document` is the change that made
    what was in force then (None: nothing had been held yet), each of `features` an answer as it was given then, with
    its `grants`, and for each of them since when and by which price, purchase or grant.
    """
    rows = await rows_of(connection, question, moment, MOST_CHANGES)
    definition = await definition_at(connection, question.project.id, moment)
    held = held_by(question, rows[0]) if rows else ()
    grants = await _grants(connection, question, rows, moment, definition) if rows else []
    project = question.project
    catalogue = Catalogue(
        project.public_id,
        project.position.epoch,
        project.position.revision,
        definition.version,
        definition.features,
        definition.unlocked_by(),
    )
    codes = sorted(definition.features) if question.feature is None else [question.feature]
    return {
        "project_id": project.public_id,
        "user_id": question.user,
        "at": format_time(moment),
        "document": change_head(rows[0]) if rows else None,
        "catalog_version": definition.version,
        "features": [
            {**_answer(held, code, catalogue, moment), "grants": [one for one in grants if one["feature_code"] == code]}
            for code in codes
        ],
    }


async def changes(connection: AsyncConnection, question: Question, moment: Instant, limit: int) -> list[Json]:
    """What changed up to a moment, newest first, at most `limit`: what came, what went, and the cause of each.

    With a feature only changes of that one are told.
    """
    rows = await rows_of(connection, question, moment, MOST_CHANGES)
    found = []
    for row, before in zip_longest(rows, rows[1:]):
        was, now = _by_source(before.body if before else [], question), _by_source(row.body, question)
        if was == now and not (question.feature is None and before is None):
            continue
        came = [one for key, one in now.items() if was.get(key) != one]
        went = [one for key, one in was.items() if key not in now]
        found.append({**change_head(row), "held": came, "gone": went})
    return found[:limit]


def held_by(question: Question, row: Row[Any]) -> Sequence[Entitlement]:
    """The entitlements that a change left the user with."""
    head = {"epoch": row.epoch, "revision": row.revision, "computed_at": format_time(from_datetime(row.recorded_at))}
    named = {"user_id": question.user, "project_id": question.project.public_id}
    return documents.from_json({**named, **head, "entitlements": row.body}).entitlements


def _by_source(body: Sequence[Json], question: Question) -> dict[tuple[str, ...], Json]:
    return {
        (row["feature_code"], row["source"], row["source_ref"], str(row["valid_from"]), str(row["value"])): row
        for row in body
        if question.feature in {None, row["feature_code"]}
    }


def _answer(held: Sequence[Entitlement], code: FeatureCode, catalogue: Catalogue, moment: Instant) -> Json:
    decision = decide(held, code, catalogue, moment)
    return {
        "feature": code,
        "allowed": decision.allowed,
        "reason": decision.reason.value,
        "value": decision.value,
        "source": decision.source,
        "valid_to": None if decision.valid_to is None else format_time(decision.valid_to),
    }


async def _grants(
    connection: AsyncConnection, question: Question, rows: Sequence[Row[Any]], moment: Instant, in_force: Definition
) -> list[Json]:
    """The document's rows at the moment, each with since when it was held and what it came from."""
    body = [row for row in rows[0].body if question.feature in {None, row["feature_code"]}]
    # A later version that changed nothing for the user left the document alone, and yet names the prices of its time.
    computed_with = await load_definition(connection, question.project.id, rows[0].catalog_version)
    versions = (in_force, computed_with)
    refs = {source: [row["source_ref"] for row in body if row["source"] == source] for source in Source}
    subscriptions = await _subscriptions(connection, refs[Source.SUBSCRIPTION], moment)
    lines = await _by_id(connection, _PURCHASES, refs[Source.PURCHASE])
    grants = await _by_id(connection, _GRANTS, [int(ref) for ref in refs[Source.MANUAL]])
    origins = {Source.SUBSCRIPTION: subscriptions, Source.PURCHASE: lines, Source.MANUAL: grants}
    return [
        {
            **row,
            "since": change_head(_since(rows, row)),
            "origin": _giving(origins[Source(row["source"])].get(row["source_ref"]), row["feature_code"], versions),
        }
        for row in body
    ]


def _since(rows: Sequence[Row[Any]], wanted: Json) -> Row[Any]:
    """The change since which the source gives the feature without a break."""
    first = rows[0]
    for row in rows:
        if not any(all(one[name] == wanted[name] for name in _IDENTITY) for one in row.body):
            break
        first = row
    return first


def _giving(origin: Json | None, code: str, versions: Sequence[Definition]) -> Json | None:
    """The origin with those of its items alone that gave the feature, and the plan by which each did."""
    if origin is None or "items" not in origin:
        return origin
    found = (list(_items_that_give(origin["items"], code, definition)) for definition in versions)
    return {**origin, "items": next((items for items in found if items), [])}


def _items_that_give(items: Sequence[Mapping[str, Any]], code: str, definition: Definition) -> Iterator[Json]:
    for item in items:
        plan = definition.plan_for(item["price_id"], item["product_id"])
        if plan is not None and any(granted.feature_code == code for granted in plan.features):
            yield {**item, "plan": plan.target, "plan_origin": plan.origin.value}


def change_head(row: Row[Any]) -> Json:
    """One change's place, time and cause in the public shape, without what it changed."""
    event = None
    if row.event_type is not None:
        created = format_time(from_datetime(row.event_created))
        event = {"type": row.event_type, "object_id": row.event_object, "created": created}
    return {
        "epoch": row.epoch,
        "revision": row.revision,
        "recorded_at": format_time(from_datetime(row.recorded_at)),
        "cause": row.cause,
        "event": event,
        "catalog_version": row.catalog_version,
    }


async def rows_of(connection: AsyncConnection, question: Question, moment: Instant, limit: int) -> Sequence[Row[Any]]:
    """A user's changes up to a moment as they are kept, newest first, at most `limit`; `change_head` reads them."""
    parameters = {
        "project_id": question.project.id,
        "user_id": question.user,
        "at": to_datetime(moment),
        "limit": limit,
    }
    return (await connection.execute(_HISTORY, parameters)).all()


async def definition_at(connection: AsyncConnection, project_id: int, moment: Instant) -> Definition:
    """The catalogue in force at a moment; the empty one where there was none yet."""
    found = (await connection.execute(_CATALOGUE, {"project_id": project_id, "at": to_datetime(moment)})).one_or_none()
    return Definition(version=0) if found is None else definitions.from_json(found.definition)


async def _subscriptions(connection: AsyncConnection, ids: Sequence[str], moment: Instant) -> dict[str, Json]:
    rows = await connection.execute(_SUBSCRIPTIONS, {"ids": list(ids), "at": to_datetime(moment)})
    return {
        row.id: {
            **row.state,
            "recorded_at": format_time(from_datetime(row.recorded_at)),
            "cause": row.cause,
        }
        for row in rows
    }


async def _by_id(connection: AsyncConnection, statement: Any, ids: Sequence[str | int]) -> dict[str, Json]:
    return {row.id: row.origin for row in await connection.execute(statement, {"ids": list(ids)})}


_IDENTITY: Final = ("feature_code", "source", "source_ref")

# By epoch and revision, not by time: they have the order of commits, which no writer's clock has to the microsecond.
_HISTORY: Final = text("""
SELECT h.epoch, h.revision, h.recorded_at, h.cause, h.catalog_version, h.body,
    e.type AS event_type, e.object_id AS event_object, e.created AS event_created
FROM entitlement_history h LEFT JOIN webhook_events e ON e.id = h.cause
WHERE h.user_ref = (SELECT id FROM users WHERE project_id = :project_id AND user_id = :user_id)
    AND h.recorded_at <= :at
ORDER BY h.epoch DESC, h.revision DESC LIMIT :limit
""")

_CATALOGUE: Final = text("""
SELECT definition FROM catalog_versions WHERE project_id = :project_id AND created_at <= :at
ORDER BY version DESC LIMIT 1
""")

_SUBSCRIPTIONS: Final = text("""
SELECT DISTINCT ON (h.subscription_id) h.subscription_id AS id, h.state, h.recorded_at, h.cause
FROM subscription_history h
WHERE h.subscription_id = ANY(CAST(:ids AS text[])) AND h.recorded_at <= :at
ORDER BY h.subscription_id, h.id DESC
""")

_PURCHASES: Final = text("""
SELECT p.id, jsonb_build_object('mode', p.mode, 'payment_intent', p.payment_intent, 'amount_total', p.amount_total,
    'currency', p.currency, 'items', (
        SELECT jsonb_agg(jsonb_build_object('price_id', l.price_id, 'product_id', l.product_id,
            'quantity', l.quantity) ORDER BY l.id) FROM purchase_lines l WHERE l.purchase_id = p.id)) AS origin
FROM purchases p WHERE p.id = ANY(CAST(:ids AS text[]))
""")

_GRANTS: Final = text("""
SELECT id::text AS id, jsonb_build_object('reason', reason, 'actor', actor, 'created_at',
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'revoke_reason', revoke_reason) AS origin
FROM manual_grants WHERE id = ANY(CAST(:ids AS bigint[]))
""")
