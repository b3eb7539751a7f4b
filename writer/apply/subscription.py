"""A subscription is written: its state, its items, and whose each item is."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Final

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime, to_datetime
from writer.apply import owners
from writer.apply.change import Change, Written
from writer.db import direct
from writer.db.direct import Statement
from writer.domain.sources import SubscriptionStatus
from writer.domain.stripe.ownership import Claims, Ownership, resolve
from writer.domain.stripe.subscription import Subscription, SubscriptionItem
from writer.outbox import Cause
from writer.recompute import Recompute, UserKey


def change(subscription: Subscription, recompute: Recompute, cause: Cause) -> Change:
    """The state as a change, under the locks of the subscription and its customer."""

    async def write_it(connection: AsyncConnection) -> Written:
        return await write(connection, subscription, recompute, cause)

    return Change(frozenset({subscription.customer_id}), write_it)


async def write(connection: AsyncConnection, subscription: Subscription, recompute: Recompute, cause: Cause) -> Written:
    """Write the state and compute everybody whose it was or is. The caller holds the objects' locks."""
    (held,) = await _HELD.run(connection, {"id": subscription.id})
    owned = await _owned(connection, subscription, held)
    keys = {item.id: UserKey(*owner) for item in subscription.items if (owner := owned.owner_of(item.price_id))}
    refs = await owners.lock(connection, held.holders, keys.values())
    item_refs = {item_id: refs[key] for item_id, key in keys.items()}
    row = _row(subscription, owned, item_refs) | _history_row(subscription, recompute, cause)
    await _UPSERT.run(connection, row)
    revisions = await recompute.users(connection, set(refs.values()), cause)
    return Written(revisions, owned.unassigned, None if owned.ours else owners.NOT_OURS)


async def load(connection: AsyncConnection, subscription_id: str) -> Subscription:
    """The subscription as last written, to be assigned again. The caller holds its lock."""
    return (await load_many(connection, [subscription_id]))[subscription_id]


async def load_many(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Subscription]:
    """Those of the subscriptions that are held, as last written, by id; their items sorted by id."""
    rows = (await connection.execute(_LOAD, {"ids": list(ids)})).all()
    items = defaultdict(list)
    for item in await connection.execute(_LOAD_ITEMS, {"ids": list(ids)}):
        items[item.subscription_id].append(_item(item))
    return {row.id: _subscription(row, items[row.id]) for row in rows}


def _subscription(row: Row[Any], items: Iterable[SubscriptionItem]) -> Subscription:
    return Subscription(
        id=row.id,
        customer_id=row.customer_id,
        status=SubscriptionStatus(row.status),
        started_at=from_datetime(row.started_at),
        trial_end=_instant(row.trial_end),
        cancel_at=_instant(row.cancel_at),
        cancel_at_period_end=row.cancel_at_period_end,
        canceled_at=_instant(row.canceled_at),
        ended_at=_instant(row.ended_at),
        collection_method=row.collection_method,
        pause_collection=row.pause_collection,
        livemode=row.livemode,
        metadata=row.metadata,
        items=tuple(items),
    )


async def _owned(connection: AsyncConnection, subscription: Subscription, held: direct.Row) -> Ownership:
    price_ids = {item.price_id for item in subscription.items}
    project = subscription.metadata.get("project_id")
    facts = await owners.facts(connection, project, price_ids, subscription.customer_id)
    claims = Claims(
        metadata=subscription.metadata,
        claimed_user_id=held.claimed_user_id,
        client_reference_id=held.session_user_id,
        customer_user_id=facts.customer_user,
    )
    return resolve(claims, facts.known, price_ids)


def _row(subscription: Subscription, owned: Ownership, item_refs: dict[str, int]) -> dict[str, object]:
    paused = subscription.pause_collection
    return {
        "id": subscription.id,
        "customer_id": subscription.customer_id,
        "user_id": None if owned.unassigned else owned.user_id,
        "project_id": owned.project_id,
        "unassigned_reason": None if owned.unassigned is None else owned.unassigned.value,
        "status": subscription.status.value,
        "started_at": to_datetime(subscription.started_at),
        "trial_end": _datetime(subscription.trial_end),
        "cancel_at": _datetime(subscription.cancel_at),
        "cancel_at_period_end": subscription.cancel_at_period_end,
        "canceled_at": _datetime(subscription.canceled_at),
        "ended_at": _datetime(subscription.ended_at),
        "collection_method": subscription.collection_method,
        "pause_collection": None if paused is None else orjson.dumps(paused).decode(),
        "livemode": subscription.livemode,
        "metadata": orjson.dumps(subscription.metadata).decode(),
        "items": orjson.dumps([_item_row(item, item_refs.get(item.id)) for item in subscription.items]).decode(),
    }


def _history_row(subscription: Subscription, recompute: Recompute, cause: Cause) -> dict[str, object]:
    ends = {name: getattr(subscription, name) for name in ("trial_end", "cancel_at", "ended_at")}
    state = {
        "status": subscription.status.value,
        "cancel_at_period_end": subscription.cancel_at_period_end,
        **{name: None if end is None else format_time(end) for name, end in ends.items()},
        "items": [
            {
                "price_id": item.price_id,
                "product_id": item.product_id,
                "quantity": item.quantity,
                "period_start": format_time(item.period_start),
                "period_end": format_time(item.period_end),
            }
            for item in sorted(subscription.items, key=lambda item: item.id)
        ],
    }
    return {
        "recorded_at": to_datetime(recompute.now()),
        "cause": cause.name,
        "state": orjson.dumps(state).decode(),
    }


def _item_row(item: SubscriptionItem, user_ref: int | None) -> dict[str, object]:
    return {
        "id": item.id,
        "user_ref": user_ref,
        "price_id": item.price_id,
        "product_id": item.product_id,
        "quantity": item.quantity,
        "period_start": format_time(item.period_start),
        "period_end": format_time(item.period_end),
    }


def _item(row: Row[Any]) -> SubscriptionItem:
    return SubscriptionItem(
        row.id,
        row.price_id,
        row.product_id,
        row.quantity,
        from_datetime(row.period_start),
        from_datetime(row.period_end),
    )


def _datetime(instant: Instant | None) -> Any:
    return None if instant is None else to_datetime(instant)


def _instant(moment: Any) -> Instant | None:
    return None if moment is None else from_datetime(moment)


_HELD: Final = Statement("""
SELECT s.claimed_user_id, s.session_user_id,
    (SELECT json_agg(json_build_array(u.project_id, u.user_id)) FROM users u WHERE u.id IN (
        SELECT user_ref FROM subscription_items WHERE subscription_id = w.id)) AS holders
FROM (SELECT CAST(:id AS text) AS id) w LEFT JOIN subscriptions s ON s.id = w.id
""")

_LOAD: Final = text("SELECT * FROM subscriptions WHERE id = ANY(CAST(:ids AS text[]))")

_LOAD_ITEMS: Final = text("""
SELECT * FROM subscription_items WHERE subscription_id = ANY(CAST(:ids AS text[])) ORDER BY id
""")

# State, history and items in one statement: it runs for every event of a subscription, where each round trip counts.
_UPSERT: Final = Statement("""
WITH last AS (
    SELECT state FROM subscription_history WHERE subscription_id = :id ORDER BY id DESC LIMIT 1
), history AS (
    INSERT INTO subscription_history (subscription_id, recorded_at, cause, state)
    SELECT :id, :recorded_at, :cause, s.state FROM (SELECT CAST(CAST(:state AS text) AS jsonb) AS state) s
    WHERE NOT EXISTS (SELECT FROM last WHERE last.state = s.state)
), written AS (
    INSERT INTO subscriptions (id, customer_id, user_id, project_id, unassigned_reason, status, started_at, trial_end,
        cancel_at, cancel_at_period_end, canceled_at, ended_at, collection_method, pause_collection, livemode, metadata)
    VALUES (:id, :customer_id, :user_id, :project_id, :unassigned_reason, :status, :started_at, :trial_end,
        :cancel_at, :cancel_at_period_end, :canceled_at, :ended_at, :collection_method,
        CAST(:pause_collection AS jsonb), :livemode, CAST(:metadata AS jsonb))
    ON CONFLICT (id) DO UPDATE SET
        customer_id = EXCLUDED.customer_id, user_id = EXCLUDED.user_id, project_id = EXCLUDED.project_id,
        unassigned_reason = EXCLUDED.unassigned_reason, status = EXCLUDED.status, started_at = EXCLUDED.started_at,
        trial_end = EXCLUDED.trial_end, cancel_at = EXCLUDED.cancel_at,
        cancel_at_period_end = EXCLUDED.cancel_at_period_end, canceled_at = EXCLUDED.canceled_at,
        ended_at = EXCLUDED.ended_at, collection_method = EXCLUDED.collection_method,
        pause_collection = EXCLUDED.pause_collection, livemode = EXCLUDED.livemode, metadata = EXCLUDED.metadata,
        updated_at = now()
), items AS (
    SELECT * FROM json_to_recordset(CAST(:items AS json)) AS i(
        id text, user_ref bigint, price_id text, product_id text, quantity bigint,
        period_start timestamptz, period_end timestamptz)
), gone AS (
    DELETE FROM subscription_items WHERE subscription_id = :id AND id NOT IN (SELECT id FROM items)
)
INSERT INTO subscription_items (id, subscription_id, user_ref, price_id, product_id, quantity, period_start, period_end)
SELECT id, :id, user_ref, price_id, product_id, quantity, period_start, period_end FROM items
ON CONFLICT (id) DO UPDATE SET
    subscription_id = EXCLUDED.subscription_id, user_ref = EXCLUDED.user_ref, price_id = EXCLUDED.price_id,
    product_id = EXCLUDED.product_id, quantity = EXCLUDED.quantity, period_start = EXCLUDED.period_start,
    period_end = EXCLUDED.period_end
""")
