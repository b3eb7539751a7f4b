"""Refunds and disputes are written, by payment intent, whether its purchase is known yet or not."""

from dataclasses import asdict
from typing import Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import to_datetime
from writer.apply.change import Change, Follow, Written, nothing
from writer.domain.stripe.payment import Dispute, Refund
from writer.outbox import Cause
from writer.recompute import Recompute, lock_user_refs


def change(moved: Refund | Dispute, recompute: Recompute, cause: Cause, follow: Follow | None = None) -> Change:
    """The state as a change, under its own lock and its payment intent's: the one that its purchase takes too."""
    if moved.payment_intent is None:
        return nothing("it has no payment intent, which every checkout makes")

    async def write(connection: AsyncConnection) -> Written:
        refs = (await connection.execute(_BUYERS, {"payment_intent": moved.payment_intent})).scalars().all()
        await lock_user_refs(connection, refs)
        row = {name: value for name, value in asdict(moved).items() if name != "created"}
        await connection.execute(_statement(moved), {**row, "created_at": to_datetime(moved.created)})
        return Written(await recompute.users(connection, refs, cause))

    return Change(frozenset({moved.payment_intent}), write, follow)


def _statement(moved: Refund | Dispute) -> TextClause:
    return _UPSERT_REFUND if isinstance(moved, Refund) else _UPSERT_DISPUTE


_BUYERS: Final = text("""
SELECT DISTINCT l.user_ref FROM purchases p JOIN purchase_lines l ON l.purchase_id = p.id
WHERE p.payment_intent = :payment_intent AND l.user_ref IS NOT NULL
""")

_UPSERT_REFUND: Final = text("""
INSERT INTO refunds (id, payment_intent, charge, amount, currency, status, created_at)
VALUES (:id, :payment_intent, :charge, :amount, :currency, :status, :created_at)
ON CONFLICT (id) DO UPDATE SET
    payment_intent = EXCLUDED.payment_intent, charge = EXCLUDED.charge, amount = EXCLUDED.amount,
    status = EXCLUDED.status
""")

_UPSERT_DISPUTE: Final = text("""
INSERT INTO disputes (id, payment_intent, charge, amount, currency, status, created_at)
VALUES (:id, :payment_intent, :charge, :amount, :currency, :status, :created_at)
ON CONFLICT (id) DO UPDATE SET
    payment_intent = EXCLUDED.payment_intent, charge = EXCLUDED.charge, amount = EXCLUDED.amount,
    status = EXCLUDED.status
""")
