"""Invoices of subscriptions. Drafts do not matter: nothing begins with them, and finalising brings an event."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime
from writer.domain.stripe.invoice import Invoice, parse_invoice
from writer.domain.stripe.kinds import ObjectKind
from writer.reconcile.comparing.facts import Comparison, Facts, Sides

_PLAIN: Final = ("subscription_id", "customer_id", "status", "currency", "amount_due", "amount_paid", "livemode")
_TIMES: Final = ("finalized_at", "due_date", "paid_at")


async def _sides(connection: AsyncConnection, parsed: Sequence[Invoice]) -> Mapping[str, Sides]:
    ours = [one for one in parsed if one.subscription_id is not None and one.status != "draft"]
    rows = await connection.execute(_HELD, {"ids": [one.id for one in ours]})
    held = {row.id: _held(row) for row in rows}
    return {one.id: Sides(_told(one), held.get(one.id)) for one in ours}


def _told(one: Invoice) -> Facts:
    return _facts(one, {name: getattr(one, name) for name in _TIMES})


def _held(row: Row[Any]) -> Facts:
    moments = {name: getattr(row, name) for name in _TIMES}
    return _facts(row, {name: None if at is None else from_datetime(at) for name, at in moments.items()})


def _facts(one: Invoice | Row[Any], times: Mapping[str, Instant | None]) -> Facts:
    plain = {name: getattr(one, name) for name in _PLAIN}
    # What the lines sold is only read, not compared: it is final with the invoice.
    plain["lines_read"] = one.lines is not None
    return {**plain, **{name: None if at is None else format_time(at) for name, at in times.items()}}


_HELD: Final = text("SELECT * FROM invoices WHERE id = ANY(CAST(:ids AS text[]))")

INVOICES: Final = Comparison(ObjectKind.INVOICE, parse_invoice, _sides)
