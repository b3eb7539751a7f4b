"""What is held and was not on Stripe's list: found by when it was last known to be so, then looked up one by one."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, to_datetime
from writer.domain.stripe.kinds import ObjectKind
from writer.domain.stripe.watermark import NOTHING_HELD, SKEW, Verdict
from writer.reconcile.stages import Stage
from writer.reconcile.walk import Compared, Standing

CHUNK: Final = 50
"""Objects looked up between two moves of the cursor: some seconds at Stripe's rate."""

KINDS: Final[Mapping[Stage, ObjectKind]] = {
    Stage.PRODUCTS_UNLISTED: ObjectKind.PRODUCT,
    Stage.PRICES_UNLISTED: ObjectKind.PRICE,
    Stage.CUSTOMERS_UNLISTED: ObjectKind.CUSTOMER,
    Stage.SUBSCRIPTIONS_UNLISTED: ObjectKind.SUBSCRIPTION,
    Stage.INVOICES_UNLISTED: ObjectKind.INVOICE,
    Stage.SESSIONS_UNLISTED: ObjectKind.SESSION,
}


async def mark(connection: AsyncConnection, compared: Collection[Compared]) -> None:
    """Note that the copies of these were as Stripe's, as of the page; so an older event will change nothing either.

    What somebody is changing just now is left alone, without waiting for them.
    """
    same = [
        one
        for one in compared
        if one.standing is Standing.SAME and one.held.fetch(one.as_of) is Verdict.NEWER and one.held != NOTHING_HELD
    ]
    if not same:
        return
    parameters = {
        "ids": [one.id for one in same],
        "events": [_datetime(one.held.event_created) for one in same],
        "fetches": [_datetime(one.held.fetched_at) for one in same],
        "as_of": to_datetime(same[0].as_of),
    }
    await connection.execute(_MARK, parameters)


async def candidates(
    connection: AsyncConnection, stage: Stage, began_at: Instant, after: str | None, *, livemode: bool, whole: bool
) -> Sequence[str]:
    """The next objects, by id, that are held as open and were not known to be so since the list was begun."""
    parameters = {
        "before": to_datetime(Instant(began_at - SKEW)),
        "after": after or "",
        "livemode": livemode,
        "whole": whole,
        "most": CHUNK,
    }
    return list((await connection.execute(_CANDIDATES[stage], parameters)).scalars())


async def is_any_listed(connection: AsyncConnection, stage: Stage, began_at: Instant, *, livemode: bool) -> bool:
    """Whether anything that is held as open was known to be so since the list was begun."""
    parameters = {"before": to_datetime(Instant(began_at - SKEW)), "livemode": livemode, "whole": True}
    return bool((await connection.execute(_LISTED[stage], parameters)).scalar_one())


def _datetime(instant: Instant | None) -> object:
    return None if instant is None else to_datetime(instant)


_KNOWN: Final = "coalesce(greatest(o.event_created, o.fetched_at), '-infinity')"

# Of purchases, what was paid stays paid: only money that was still on its way may have come since, or not. Weeks
# later it won't.
_OPEN: Final[Mapping[Stage, tuple[str, str]]] = {
    Stage.PRODUCTS_UNLISTED: ("products", "h.active"),
    Stage.PRICES_UNLISTED: ("prices", "h.active"),
    Stage.CUSTOMERS_UNLISTED: ("stripe_customers", "h.deleted_at IS NULL"),
    Stage.SUBSCRIPTIONS_UNLISTED: ("subscriptions", "h.status NOT IN ('canceled', 'incomplete_expired')"),
    Stage.INVOICES_UNLISTED: ("invoices", "h.status = 'open'"),
    Stage.SESSIONS_UNLISTED: (
        "purchases",
        "(:whole OR (h.payment_status = 'unpaid' AND h.completed_at > now() - interval '90 days'))",
    ),
}


def _candidates(table: str, condition: str) -> TextClause:
    return text(f"""
SELECT h.id FROM {table} h LEFT JOIN stripe_objects o ON o.id = h.id
WHERE h.id > CAST(:after AS text) AND h.livemode = :livemode AND {condition}
    AND {_KNOWN} < CAST(:before AS timestamptz)
ORDER BY h.id LIMIT :most
""")  # noqa: S608 - constants of ours


def _listed(table: str, condition: str) -> TextClause:
    return text(f"""
SELECT EXISTS (SELECT FROM {table} h JOIN stripe_objects o ON o.id = h.id
    WHERE h.livemode = :livemode AND {condition} AND {_KNOWN} >= CAST(:before AS timestamptz))
""")  # noqa: S608 - constants of ours


_CANDIDATES: Final = {stage: _candidates(*held) for stage, held in _OPEN.items()}
_LISTED: Final = {stage: _listed(*held) for stage, held in _OPEN.items()}

_MARK: Final = text("""
WITH seen AS (
    SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:events AS timestamptz[]), CAST(:fetches AS timestamptz[]))
        AS s(id, event_created, fetched_at)
), free AS (
    SELECT o.id FROM stripe_objects o JOIN seen s ON s.id = o.id
    WHERE o.event_created IS NOT DISTINCT FROM s.event_created AND o.fetched_at IS NOT DISTINCT FROM s.fetched_at
    ORDER BY o.id FOR NO KEY UPDATE OF o SKIP LOCKED
)
UPDATE stripe_objects o SET fetched_at = CAST(:as_of AS timestamptz) FROM free WHERE o.id = free.id
""")
