"""Refunds and disputes, as far as they meet a purchase that is held, or are held themselves."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.domain.stripe.kinds import ObjectKind
from writer.domain.stripe.payment import Dispute, Refund, parse_dispute, parse_refund
from writer.reconcile.comparing.facts import Comparison, Facts, Sides

M = TypeVar("M", Refund, Dispute)

_FIELDS: Final = ("payment_intent", "charge", "amount", "status")


async def _refunds(connection: AsyncConnection, parsed: Sequence[Refund]) -> Mapping[str, Sides]:
    return await _sides(connection, parsed, _HELD_REFUNDS)


async def _disputes(connection: AsyncConnection, parsed: Sequence[Dispute]) -> Mapping[str, Sides]:
    return await _sides(connection, parsed, _HELD_DISPUTES)


async def _sides(connection: AsyncConnection, parsed: Sequence[M], statement: TextClause) -> Mapping[str, Sides]:
    rows = await connection.execute(statement, {"ids": [one.id for one in parsed]})
    held = {row.id: _facts(row) for row in rows}
    intents = [one.payment_intent for one in parsed if one.payment_intent is not None]
    ours = set((await connection.execute(_PURCHASED, {"intents": intents})).scalars())
    return {
        one.id: Sides(_facts(one), held.get(one.id)) for one in parsed if one.id in held or one.payment_intent in ours
    }


def _facts(one: Any) -> Facts:
    return {name: getattr(one, name) for name in _FIELDS}


_HELD_REFUNDS: Final = text("SELECT * FROM refunds WHERE id = ANY(CAST(:ids AS text[]))")

_HELD_DISPUTES: Final = text("SELECT * FROM disputes WHERE id = ANY(CAST(:ids AS text[]))")

_PURCHASED: Final = text("""
SELECT DISTINCT payment_intent FROM purchases WHERE payment_intent = ANY(CAST(:intents AS text[]))
""")

REFUNDS: Final = Comparison(ObjectKind.REFUND, parse_refund, _refunds)
DISPUTES: Final = Comparison(ObjectKind.DISPUTE, parse_dispute, _disputes)
