"""What an account page shows: a user's subscriptions, as last applied, item by item."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import format_time, from_datetime
from common.identifiers import UserId
from writer.auth import KeyHolder
from writer.db.transaction import Transactions
from writer.settings import GraceSettings


class Subscriptions:
    """Reads users' subscriptions."""

    def __init__(self, transactions: Transactions, grace: GraceSettings) -> None:
        self._transactions = transactions
        self._past_due = timedelta(seconds=grace.past_due)

    async def of(self, holder: KeyHolder, user: UserId) -> list[dict[str, Any]]:
        """The user's subscriptions in the holder's project, running ones first, then newest first; public shape."""
        parameters = {"project_id": holder.project_id, "user_id": user}

        async def read(connection: AsyncConnection) -> list[Row[Any]]:
            return list(await connection.execute(_SUBSCRIPTIONS, parameters))

        return [self._shown(row) for row in await self._transactions.run(read)]

    def _shown(self, row: Row[Any]) -> dict[str, Any]:
        past_due = row.status == "past_due" and row.unpaid_since is not None
        return {
            "id": row.id,
            "status": row.status,
            "started_at": _time(row.started_at),
            "trial_end": _time(row.trial_end),
            "cancel_at_period_end": row.cancel_at_period_end,
            "cancel_at": _time(row.cancel_at),
            "canceled_at": _time(row.canceled_at),
            "ended_at": _time(row.ended_at),
            "ends_at": _time(_end(row)),
            "past_due_until": _time(row.unpaid_since + self._past_due) if past_due else None,
            "collection_paused": row.pause_collection is not None,
            "items": [_item(item) for item in row.items],
        }


def _end(row: Row[Any]) -> datetime | None:
    """When it ends or ended, as far as that is settled; None: it renews."""
    if row.ended_at is not None:
        ended: datetime = row.ended_at
        return ended
    ends = (row.cancel_at, row.first_period_end if row.cancel_at_period_end else None)
    return min((end for end in ends if end is not None), default=None)


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    # JSON made by Postgres writes times in the session's zone, which is UTC.
    times = ("current_period_start", "current_period_end")
    return {**item, **{name: _time(datetime.fromisoformat(item[name])) for name in times}}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(from_datetime(moment))


_SUBSCRIPTIONS: Final = text("""
SELECT s.id, s.status, s.started_at, s.trial_end, s.cancel_at, s.cancel_at_period_end, s.canceled_at, s.ended_at,
    s.pause_collection,
    (SELECT min(f.period_end) FROM subscription_items f WHERE f.subscription_id = s.id) AS first_period_end,
    (SELECT min(CASE s.collection_method WHEN 'send_invoice' THEN coalesce(v.due_date, v.finalized_at)
                                         ELSE v.finalized_at END)
     FROM invoices v WHERE v.subscription_id = s.id AND v.status = 'open') AS unpaid_since,
    json_agg(json_build_object(
        'id', i.id, 'price_id', i.price_id, 'product_id', i.product_id, 'product_name', o.name,
        'price_nickname', p.nickname, 'lookup_key', p.lookup_key, 'quantity', i.quantity,
        'unit_amount', p.unit_amount, 'currency', p.currency,
        'interval', p.interval, 'interval_count', p.interval_count,
        'current_period_start', i.period_start, 'current_period_end', i.period_end) ORDER BY i.id) AS items
FROM users u JOIN subscription_items i ON i.user_ref = u.id JOIN subscriptions s ON s.id = i.subscription_id
    LEFT JOIN prices p ON p.id = i.price_id LEFT JOIN products o ON o.id = i.product_id
WHERE u.project_id = :project_id AND u.user_id = :user_id AND s.unassigned_reason IS NULL
GROUP BY s.id
ORDER BY s.ended_at IS NOT NULL, s.started_at DESC, s.id
""")
