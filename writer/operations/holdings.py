"""What a user bought and was given, as it is kept, whether it grants anything just now or not. For people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, from_datetime
from common.identifiers import UserId
from writer.operations.projects import Project

MOST: Final = 200
"""Of each kind, the newest."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was bought: a price, by its product's name where that is known."""

    price_id: str
    product: str
    quantity: int


@dataclass(frozen=True, slots=True)
class HeldSubscription:
    """A subscription with those of its items that are the user's."""

    id: str
    customer_id: str | None
    status: str
    started_at: Instant
    period_end: Instant | None
    cancel_at: Instant | None
    cancel_at_period_end: bool
    ended_at: Instant | None
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class HeldPurchase:
    """A checkout with those of its one-time lines that are the user's. Amounts in the currency's smallest unit."""

    id: str
    customer_id: str | None
    payment_status: str
    amount: int
    refunded: int
    dispute: str | None
    """How a dispute stands, where there is one."""
    currency: str
    completed_at: Instant
    lines: tuple[Line, ...]

    @property
    def is_refunded(self) -> bool:
        """Whether all of it was given back, so that it grants nothing any more."""
        return 0 < self.amount <= self.refunded


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """A manual grant, also one that ended or was revoked."""

    id: int
    feature: str
    value: Any
    valid_from: Instant
    valid_to: Instant | None
    reason: str
    actor: str
    revoked_at: Instant | None
    revoke_reason: str | None

    def state(self, now: Instant) -> str:
        """`revoked`, `ended`, `not begun` or `in force`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.valid_to is not None and self.valid_to <= now:
            return "ended"
        return "not begun" if self.valid_from > now else "in force"


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything of one user in one project; `is_known` False: nothing was ever bought or granted."""

    is_known: bool
    customers: tuple[str, ...]
    subscriptions: Sequence[HeldSubscription]
    purchases: Sequence[HeldPurchase]
    grants: Sequence[HeldGrant]


async def of(connection: AsyncConnection, project: Project, user: UserId) -> Holdings:
    """The newest first."""
    found = await connection.execute(_USER, {"project_id": project.id, "user_id": user})
    ref = found.scalar_one_or_none()
    if ref is None:
        return Holdings(is_known=False, customers=(), subscriptions=(), purchases=(), grants=())
    parameters = {"ref": ref, "most": MOST}
    subscriptions = [_subscription(row) for row in await connection.execute(_SUBSCRIPTIONS, parameters)]
    purchases = [_purchase(row) for row in await connection.execute(_PURCHASES, parameters)]
    grants = [_grant(row) for row in await connection.execute(_GRANTS, parameters)]
    linked = list((await connection.execute(_CUSTOMERS, parameters)).scalars())
    bought = [one.customer_id for one in subscriptions] + [one.customer_id for one in purchases]
    return Holdings(
        is_known=True,
        customers=tuple(dict.fromkeys([*linked, *filter(None, bought)])),
        subscriptions=subscriptions,
        purchases=purchases,
        grants=grants,
    )


def _subscription(row: Row[Any]) -> HeldSubscription:
    return HeldSubscription(
        id=row.id,
        customer_id=row.customer_id,
        status=row.status,
        started_at=from_datetime(row.started_at),
        period_end=_instant(row.period_end),
        cancel_at=_instant(row.cancel_at),
        cancel_at_period_end=row.cancel_at_period_end,
        ended_at=_instant(row.ended_at),
        lines=_lines(row.lines),
    )


def _purchase(row: Row[Any]) -> HeldPurchase:
    return HeldPurchase(
        id=row.id,
        customer_id=row.customer_id,
        payment_status=row.payment_status,
        amount=row.amount_total,
        refunded=row.refunded,
        dispute=row.dispute,
        currency=row.currency,
        completed_at=from_datetime(row.completed_at),
        lines=_lines(row.lines),
    )


def _grant(row: Row[Any]) -> HeldGrant:
    return HeldGrant(
        id=row.id,
        feature=row.feature_code,
        value=row.value,
        valid_from=from_datetime(row.valid_from),
        valid_to=_instant(row.valid_to),
        reason=row.reason,
        actor=row.actor,
        revoked_at=_instant(row.revoked_at),
        revoke_reason=row.revoke_reason,
    )


def _lines(rows: Any) -> tuple[Line, ...]:
    return tuple(Line(row["price_id"], row["product"], row["quantity"]) for row in rows)


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)


_USER: Final = text("SELECT id FROM users WHERE project_id = :project_id AND user_id = :user_id")

_CUSTOMERS: Final = text("SELECT id FROM stripe_customers WHERE user_ref = :ref ORDER BY is_primary DESC, id")

_SUBSCRIPTIONS: Final = text("""
SELECT s.id, s.customer_id, s.status, s.started_at, max(i.period_end) AS period_end, s.cancel_at,
    s.cancel_at_period_end, s.ended_at, jsonb_agg(jsonb_build_object('price_id', i.price_id,
        'product', coalesce(d.name, i.product_id), 'quantity', i.quantity) ORDER BY i.id) AS lines
FROM subscription_items i JOIN subscriptions s ON s.id = i.subscription_id LEFT JOIN products d ON d.id = i.product_id
WHERE i.user_ref = :ref GROUP BY s.id ORDER BY s.started_at DESC, s.id LIMIT :most
""")

_PURCHASES: Final = text("""
SELECT p.id, p.customer_id, p.payment_status, p.amount_total, p.currency, p.completed_at,
    (SELECT coalesce(sum(r.amount), 0)::bigint FROM refunds r
        WHERE r.payment_intent = p.payment_intent AND r.status NOT IN ('failed', 'canceled')) AS refunded,
    (SELECT d.status FROM disputes d WHERE d.payment_intent = p.payment_intent
        ORDER BY d.created_at DESC LIMIT 1) AS dispute,
    jsonb_agg(jsonb_build_object('price_id', l.price_id,
        'product', coalesce(d.name, l.product_id), 'quantity', l.quantity) ORDER BY l.id) AS lines
FROM purchase_lines l JOIN purchases p ON p.id = l.purchase_id LEFT JOIN products d ON d.id = l.product_id
WHERE l.user_ref = :ref GROUP BY p.id ORDER BY p.completed_at DESC, p.id LIMIT :most
""")

_GRANTS: Final = text("""
SELECT id, feature_code, value, valid_from, valid_to, reason, actor, revoked_at, revoke_reason
FROM manual_grants WHERE user_ref = :ref ORDER BY id DESC LIMIT :most
""")
