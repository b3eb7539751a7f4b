"""Reads what grants users something. Only under their locks, so that no source is missed."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant
from common.identifiers import FeatureCode
from writer.domain.sources import (
    GrantSource,
    Item,
    PurchaseSource,
    Sources,
    SubscriptionSource,
    SubscriptionStatus,
)

SELECT: Final = """
WITH micro AS (SELECT 1000000::numeric AS second)
SELECT 'subscription' AS kind, i.user_ref, json_build_object(
    'id', s.id, 'status', s.status, 'cancel_at_period_end', s.cancel_at_period_end,
    'started_at', (extract(epoch FROM s.started_at) * second)::bigint,
    'cancel_at', (extract(epoch FROM s.cancel_at) * second)::bigint,
    'ended_at', (extract(epoch FROM s.ended_at) * second)::bigint,
    'first_period_end', (SELECT (extract(epoch FROM min(f.period_end)) * second)::bigint
        FROM subscription_items f WHERE f.subscription_id = s.id),
    'unpaid_since', (SELECT (extract(epoch FROM min(
            CASE s.collection_method WHEN 'send_invoice' THEN coalesce(v.due_date, v.finalized_at)
                                     ELSE v.finalized_at END)) * second)::bigint
        FROM invoices v WHERE v.subscription_id = s.id AND v.status = 'open'),
    'items', json_agg(json_build_object(
        'price_id', i.price_id, 'product_id', i.product_id, 'quantity', i.quantity,
        'period_end', (extract(epoch FROM i.period_end) * second)::bigint) ORDER BY i.id)) AS data
FROM subscription_items i JOIN subscriptions s ON s.id = i.subscription_id CROSS JOIN micro
WHERE i.user_ref = ANY(:refs) AND s.unassigned_reason IS NULL
GROUP BY i.user_ref, s.id, second
UNION ALL
SELECT 'purchase', l.user_ref, json_build_object(
    'id', p.id, 'settled', p.payment_status = 'paid'
        OR (p.payment_status = 'no_payment_required' AND p.mode = 'payment'),
    'completed_at', (extract(epoch FROM p.completed_at) * second)::bigint,
    'amount', p.amount_total,
    'refunded', (SELECT coalesce(sum(r.amount), 0)::bigint FROM refunds r
        WHERE r.payment_intent = p.payment_intent AND r.status NOT IN ('failed', 'canceled')),
    'dispute_lost', EXISTS (SELECT FROM disputes d WHERE d.payment_intent = p.payment_intent AND d.status = 'lost'),
    'lines', json_agg(json_build_object(
        'price_id', l.price_id, 'product_id', l.product_id, 'quantity', l.quantity) ORDER BY l.id))
FROM purchase_lines l JOIN purchases p ON p.id = l.purchase_id CROSS JOIN micro
WHERE l.user_ref = ANY(:refs) AND p.unassigned_reason IS NULL
GROUP BY l.user_ref, p.id, second
UNION ALL
SELECT 'grant', g.user_ref, json_build_object(
    'id', g.id::text, 'feature_code', g.feature_code, 'value', g.value,
    'valid_from', (extract(epoch FROM g.valid_from) * second)::bigint,
    'valid_to', (extract(epoch FROM g.valid_to) * second)::bigint)
FROM manual_grants g CROSS JOIN micro
WHERE g.user_ref = ANY(:refs) AND g.revoked_at IS NULL
"""
"""Rows of `kind`, `user_ref`, `data` of the users `:refs` (users.id). To be part of a statement: it runs in every
webhook's transaction, where each round trip counts. Times come as whole microseconds."""


async def load(connection: AsyncConnection, refs: Collection[int]) -> Mapping[int, Sources]:
    """The sources of each of the users `refs` (users.id); all of them are in the answer."""
    rows = await connection.execute(_SOURCES, {"refs": list(refs)})
    found: dict[int, list[tuple[str, Any]]] = defaultdict(list)
    for kind, user_ref, data in rows:
        found[user_ref].append((kind, data))
    return {ref: of_rows(found[ref]) for ref in refs}


def of_rows(rows: Iterable[Sequence[Any]]) -> Sources:
    """One user's sources, from its rows' `kind` and `data`."""
    by_kind: dict[str, list[Any]] = defaultdict(list)
    for kind, data in rows:
        by_kind[kind].append(data)
    return Sources(
        subscriptions=tuple(map(_subscription, by_kind["subscription"])),
        purchases=tuple(map(_purchase, by_kind["purchase"])),
        grants=tuple(map(_grant, by_kind["grant"])),
    )


def _subscription(data: Mapping[str, Any]) -> SubscriptionSource:
    return SubscriptionSource(
        id=data["id"],
        status=SubscriptionStatus(data["status"]),
        started_at=Instant(data["started_at"]),
        items=tuple(map(_item, data["items"])),
        cancel_at=data["cancel_at"],
        cancel_at_period_end=data["cancel_at_period_end"],
        first_period_end=data["first_period_end"],
        ended_at=data["ended_at"],
        unpaid_since=data["unpaid_since"],
    )


def _purchase(data: Mapping[str, Any]) -> PurchaseSource:
    return PurchaseSource(
        id=data["id"],
        settled=data["settled"],
        completed_at=Instant(data["completed_at"]),
        amount=data["amount"],
        refunded=data["refunded"],
        dispute_lost=data["dispute_lost"],
        lines=tuple(map(_item, data["lines"])),
    )


def _item(data: Mapping[str, Any]) -> Item:
    return Item(data["price_id"], data["product_id"], data["quantity"], data.get("period_end"))


def _grant(data: Mapping[str, Any]) -> GrantSource:
    return GrantSource(
        id=data["id"],
        feature_code=FeatureCode(data["feature_code"]),
        value=data["value"],
        valid_from=Instant(data["valid_from"]),
        valid_to=data["valid_to"],
    )


_SOURCES: Final = text(SELECT)
