"""Complete checkout sessions: what was bought once by them, and whom they named to the subscription they began."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import format_time
from writer.apply import purchase
from writer.domain.stripe.kinds import ObjectKind
from writer.domain.stripe.session import Session, parse_session
from writer.reconcile.comparing.facts import Comparison, Facts, Sides

_PLAIN: Final = (
    "customer_id", "client_reference_id", "mode", "payment_status", "invoice_id", "amount_total", "currency",
    "livemode", "metadata",
)  # fmt: skip


async def _sides(connection: AsyncConnection, parsed: Sequence[Session]) -> Mapping[str, Sides]:
    complete = [one for one in parsed if one.status == "complete" and one.mode != "setup"]
    bought = [one for one in complete if one.one_time_lines]
    held = await purchase.load_many(connection, [one.id for one in bought])
    sides = {one.id: _bought(one, held.get(one.id)) for one in bought}
    others = [one for one in complete if not one.one_time_lines]
    parameters = {"ids": [one.id for one in others], "subscriptions": [one.subscription_id for one in others]}
    rows = {row.id: row for row in await connection.execute(_KNOWN, parameters)} if others else {}
    return {**sides, **{one.id: _named(one, rows[one.id]) for one in others}}


def _bought(told: Session, held: Session | None) -> Sides:
    facts = _facts(told)
    if held is None:
        return Sides(facts, None)
    # In subscription mode the payment intent is the invoice's, and the session does not say it.
    unsaid = {"payment_intent": None} if told.payment_intent is None else {}
    return Sides(facts, {**_facts(held), **unsaid})


def _facts(one: Session) -> Facts:
    facts = {name: getattr(one, name) for name in _PLAIN}
    facts |= {"payment_intent": one.payment_intent, "paid_from": format_time(one.paid_from or one.created)}
    for line in one.one_time_lines:
        facts |= {
            f"{line.id}.price_id": line.price_id,
            f"{line.id}.product_id": line.product_id,
            f"{line.id}.quantity": line.quantity,
            f"{line.id}.amount_total": line.amount_total,
        }
    return facts


def _named(told: Session, row: Row[Any]) -> Sides:
    """A session that only began a subscription is kept in what it says of it."""
    user = told.metadata.get("user_id") or told.client_reference_id
    named = user if user is not None and row.subscription_known else None
    held = {"session_user_id": row.session_user_id if named is not None else None}
    return Sides({"session_user_id": named}, held if row.session_known else None)


_KNOWN: Final = text("""
SELECT w.id, s.session_user_id, s.id IS NOT NULL AS subscription_known,
    EXISTS (SELECT FROM stripe_objects o
        WHERE o.id = w.id AND (o.event_created IS NOT NULL OR o.fetched_at IS NOT NULL)) AS session_known
FROM unnest(CAST(:ids AS text[]), CAST(:subscriptions AS text[])) AS w(id, subscription_id)
LEFT JOIN subscriptions s ON s.id = w.subscription_id
""")

SESSIONS: Final = Comparison(ObjectKind.SESSION, parse_session, _sides)
