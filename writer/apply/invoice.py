"""An invoice is written: an open one begins its subscription's past-due grace, a paid one ends it."""

from dataclasses import asdict
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, to_datetime
from writer.apply.change import Change, Written, nothing
from writer.domain.stripe.invoice import Invoice
from writer.outbox import Cause
from writer.recompute import Recompute, lock_user_refs


def change(invoice: Invoice, recompute: Recompute, cause: Cause) -> Change:
    """The state as a change, under the locks of the invoice and its subscription."""
    if invoice.subscription_id is None:
        return nothing("it is no subscription's invoice")

    async def write(connection: AsyncConnection) -> Written:
        refs = (await connection.execute(_HOLDERS, {"id": invoice.subscription_id})).scalars().all()
        await lock_user_refs(connection, refs)
        await connection.execute(_UPSERT, _row(invoice))
        if invoice.payment_intent is not None:
            await name_payment(connection, invoice.payment_intent, invoice.id)
        return Written(await recompute.users(connection, refs, cause))

    return Change(frozenset({invoice.subscription_id}), write)


async def name_payment(connection: AsyncConnection, payment_intent: str, invoice_id: str) -> None:
    """Keep which invoice a payment paid."""
    await connection.execute(_NAME_PAYMENT, {"payment_intent": payment_intent, "invoice_id": invoice_id})


def _row(invoice: Invoice) -> dict[str, object]:
    return {
        "id": invoice.id,
        "subscription_id": invoice.subscription_id,
        "customer_id": invoice.customer_id,
        "status": invoice.status,
        "finalized_at": _datetime(invoice.finalized_at),
        "due_date": _datetime(invoice.due_date),
        "paid_at": _datetime(invoice.paid_at),
        "currency": invoice.currency,
        "amount_due": invoice.amount_due,
        "amount_paid": invoice.amount_paid,
        "livemode": invoice.livemode,
        "lines": None if invoice.lines is None else orjson.dumps(list(map(asdict, invoice.lines))).decode(),
    }


def _datetime(instant: Instant | None) -> Any:
    return None if instant is None else to_datetime(instant)


_HOLDERS: Final = text("""
SELECT DISTINCT user_ref FROM subscription_items WHERE subscription_id = :id AND user_ref IS NOT NULL
""")

_UPSERT: Final = text("""
INSERT INTO invoices (id, subscription_id, customer_id, status, finalized_at, due_date, paid_at, currency,
    amount_due, amount_paid, livemode, lines)
VALUES (:id, :subscription_id, :customer_id, :status, :finalized_at, :due_date, :paid_at, :currency,
    :amount_due, :amount_paid, :livemode, CAST(CAST(:lines AS text) AS jsonb))
ON CONFLICT (id) DO UPDATE SET
    subscription_id = EXCLUDED.subscription_id, customer_id = EXCLUDED.customer_id, status = EXCLUDED.status,
    finalized_at = EXCLUDED.finalized_at, due_date = EXCLUDED.due_date, paid_at = EXCLUDED.paid_at,
    currency = EXCLUDED.currency, amount_due = EXCLUDED.amount_due, amount_paid = EXCLUDED.amount_paid,
    lines = coalesce(EXCLUDED.lines, invoices.lines)
""")

_NAME_PAYMENT: Final = text("""
INSERT INTO invoice_payments (payment_intent, invoice_id) VALUES (:payment_intent, :invoice_id)
ON CONFLICT (payment_intent) DO UPDATE SET invoice_id = EXCLUDED.invoice_id
""")
