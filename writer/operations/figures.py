"""What a project earns: subscriptions by state, and money by month and currency. The rules stand in docs/figures.md.

Money is what customers paid, in the currency's smallest unit. A payment that several projects share is divided by what
its lines cost, to the last unit: the parts add up to the payment.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, to_datetime
from writer.domain.money import decimals
from writer.refusals import InvalidError

MOST_MONTHS: Final = 120
_USUAL_MONTHS: Final = 12
_MONTH: Final = re.compile(r"(?P<year>[12]\d{3})-(?P<month>0[1-9]|1[0-2])")
_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class Period:
    """Whole months in UTC, both included; each is its first day."""

    first: date
    last: date

    @property
    def end(self) -> date:
        """The first day that is not in it any more."""
        return _shifted(self.last, 1)


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """How many subscriptions of a project are in each state now; one with items of two projects counts for both."""

    active: int = 0
    trialing: int = 0
    past_due: int = 0
    unpaid: int = 0
    paused: int = 0
    incomplete: int = 0
    canceled: int = 0
    """All that ever ended."""
    ending: int = 0
    """Those of `active`, `trialing` and `past_due` that will not renew."""


@dataclass(frozen=True, slots=True)
class Money:
    """One month in one currency. Amounts in the currency's smallest unit, none negative but by credits."""

    month: str
    """Such as `2026-11`, UTC."""
    currency: str
    recurring: int
    one_time: int
    refunds: int
    disputes: int
    """Lost ones, in the month in which they began."""

    @property
    def net(self) -> int:
        """What stayed, before Stripe's fees."""
        return self.recurring + self.one_time - self.refunds - self.disputes


@dataclass(frozen=True, slots=True)
class Figures:
    """A project's figures. `money` is sorted by month and currency; a month without any has no row."""

    project: str
    subscriptions: Subscriptions
    money: tuple[Money, ...]


async def read(connection: AsyncConnection, period: Period, project_id: int | None = None) -> Sequence[Figures]:
    """The figures of every project, or of the one with that internal id, sorted by public id."""
    parameters = {"project_id": project_id, "first": _midnight(period.first), "end": _midnight(period.end)}
    names = (await connection.execute(_PROJECTS, parameters)).all()
    counts = {row.project_id: _subscriptions(row) for row in await connection.execute(_COUNTS, parameters)}
    money: Mapping[int, list[Money]] = defaultdict(list)
    for row in await connection.execute(_MONEY, parameters):
        money[row.project_id].append(
            Money(row.month, row.currency, int(row.recurring), int(row.one_time), int(row.refunds), int(row.disputes))
        )
    return [Figures(row.public_id, counts.get(row.id, Subscriptions()), tuple(money[row.id])) for row in names]


async def active_subscriptions(connection: AsyncConnection) -> dict[str, int]:
    """How many subscriptions of each project are active or trialing, by public id; 0 where there is none."""
    return {row.public_id: row.active for row in await connection.execute(_ACTIVE)}


def period(first: str | None, last: str | None, now: Instant) -> Period:
    """From month to month, such as `2026-11`; by default the last twelve, this one included.

    InvalidError: `invalid_month` where one is no month, `invalid_range` where they are out of order or too many.
    """
    until = _month("to", last) if last else to_datetime(now).date().replace(day=1)
    since = _month("from", first) if first else _shifted(until, 1 - _USUAL_MONTHS)
    months = (until.year - since.year) * _YEAR + until.month - since.month + 1
    if not 1 <= months <= MOST_MONTHS:
        raise InvalidError("invalid_range", f"from must not be after to, and at most {MOST_MONTHS} months are told")
    return Period(since, until)


def to_json(figures: Figures, asked: Period) -> dict[str, Any]:
    """The figures in their public shape."""
    return {
        "project_id": figures.project,
        "from": f"{asked.first:%Y-%m}",
        "to": f"{asked.last:%Y-%m}",
        "subscriptions": asdict(figures.subscriptions),
        "revenue": [
            {**asdict(row), "net": row.net, "decimals": decimals(row.currency)} for row in figures.money
        ],
    }  # fmt: skip


def _month(name: str, written: str) -> date:
    found = _MONTH.fullmatch(written)
    if found is None:
        raise InvalidError("invalid_month", f"{name} must be a month such as 2026-11")
    return date(int(found["year"]), int(found["month"]), 1)


def _shifted(month: date, months: int) -> date:
    count = month.year * _YEAR + month.month - 1 + months
    return date(count // _YEAR, count % _YEAR + 1, 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _subscriptions(row: Any) -> Subscriptions:
    return Subscriptions(**{name: getattr(row, name) for name in Subscriptions.__slots__})


_PROJECTS: Final = text("""
SELECT id, public_id FROM projects WHERE CAST(:project_id AS bigint) IS NULL OR id = :project_id ORDER BY public_id
""")

_OF_PROJECTS: Final = """
SELECT DISTINCT coalesce(s.project_id, p.project_id) AS project_id, s.id, s.status,
    s.cancel_at_period_end OR s.cancel_at IS NOT NULL AS ends
FROM subscriptions s JOIN subscription_items i ON i.subscription_id = s.id LEFT JOIN prices p ON p.id = i.price_id
"""
"""Each subscription once for each project that has a part in it, whether a user is known or not."""

_COUNTS: Final = text(f"""
SELECT project_id,
    count(*) FILTER (WHERE status = 'active') AS active,
    count(*) FILTER (WHERE status = 'trialing') AS trialing,
    count(*) FILTER (WHERE status = 'past_due') AS past_due,
    count(*) FILTER (WHERE status = 'unpaid') AS unpaid,
    count(*) FILTER (WHERE status = 'paused') AS paused,
    count(*) FILTER (WHERE status = 'incomplete') AS incomplete,
    count(*) FILTER (WHERE status = 'canceled') AS canceled,
    count(*) FILTER (WHERE status IN ('active', 'trialing', 'past_due') AND ends) AS ending
FROM ({_OF_PROJECTS}) o
WHERE project_id IS NOT NULL AND (CAST(:project_id AS bigint) IS NULL OR project_id = :project_id)
GROUP BY project_id
""")  # noqa: S608 - our own constant

_ACTIVE: Final = text(f"""
SELECT q.public_id, count(o.id) AS active
FROM projects q LEFT JOIN ({_OF_PROJECTS} WHERE s.status IN ('active', 'trialing')) o ON o.project_id = q.id
GROUP BY q.id
""")  # noqa: S608 - our own constant

# A movement is divided among its lines by running sums, so that rounding neither loses nor makes a unit. Lines that
# were not read are one line of the subscription; a line without a price of ours is the subscription's, where all of
# its items are of one project.
_MONEY: Final = text("""
WITH moved AS (
    SELECT 'paid' AS what, paid_at AS at, currency, amount_paid AS amount, id AS invoice_id, NULL AS purchase_id
    FROM invoices WHERE status = 'paid' AND paid_at >= :first AND paid_at < :end
    UNION ALL
    SELECT 'paid', completed_at, currency, amount_total, NULL, id
    FROM purchases WHERE mode = 'payment' AND payment_status = 'paid' AND completed_at >= :first AND completed_at < :end
    UNION ALL
    SELECT b.what, b.at, b.currency, b.amount,
        CASE WHEN p.mode = 'payment' THEN NULL ELSE coalesce(n.invoice_id, p.invoice_id) END,
        CASE WHEN p.mode = 'payment' THEN p.id END
    FROM (
        SELECT 'refund' AS what, created_at AS at, currency, amount, payment_intent
        FROM refunds WHERE status NOT IN ('failed', 'canceled') AND created_at >= :first AND created_at < :end
        UNION ALL
        SELECT 'dispute', created_at, currency, amount, payment_intent
        FROM disputes WHERE status = 'lost' AND created_at >= :first AND created_at < :end
    ) b
    LEFT JOIN purchases p ON p.payment_intent = b.payment_intent
    LEFT JOIN invoice_payments n ON n.payment_intent = b.payment_intent
), numbered AS (
    SELECT *, row_number() OVER () AS number FROM moved WHERE amount > 0
), lines AS (
    SELECT m.number, l.position, (l.line->>'amount')::numeric AS cost, (l.line->>'recurring')::boolean AS recurring,
        coalesce(s.project_id, p.project_id, (
            SELECT CASE WHEN count(DISTINCT q.project_id) = 1 THEN min(q.project_id) END
            FROM subscription_items i JOIN prices q ON q.id = i.price_id WHERE i.subscription_id = s.id
        )) AS project_id
    FROM numbered m JOIN invoices v ON v.id = m.invoice_id
    LEFT JOIN subscriptions s ON s.id = v.subscription_id
    CROSS JOIN LATERAL jsonb_array_elements(coalesce(nullif(v.lines, '[]'), '[{"amount": 1, "recurring": true}]'))
        WITH ORDINALITY AS l(line, position)
    LEFT JOIN prices p ON p.id = l.line->>'price_id'
    UNION ALL
    SELECT m.number, row_number() OVER (PARTITION BY m.number ORDER BY l.id), l.amount_total, false,
        coalesce(u.project_id, p.project_id)
    FROM numbered m JOIN purchases u ON u.id = m.purchase_id JOIN purchase_lines l ON l.purchase_id = u.id
    LEFT JOIN prices p ON p.id = l.price_id
), summed AS (
    SELECT *, sum(cost) OVER (PARTITION BY number ORDER BY position) AS upto,
        sum(cost) OVER (PARTITION BY number) AS whole
    FROM lines
), parts AS (
    SELECT m.what, m.at, m.currency, l.recurring, l.project_id,
        CASE WHEN l.whole <> 0 THEN round(m.amount * l.upto / l.whole) - round(m.amount * (l.upto - l.cost) / l.whole)
            WHEN l.position = 1 THEN m.amount ELSE 0 END AS amount
    FROM numbered m JOIN summed l ON l.number = m.number
)
SELECT project_id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, currency,
    coalesce(sum(amount) FILTER (WHERE what = 'paid' AND recurring), 0) AS recurring,
    coalesce(sum(amount) FILTER (WHERE what = 'paid' AND NOT recurring), 0) AS one_time,
    coalesce(sum(amount) FILTER (WHERE what = 'refund'), 0) AS refunds,
    coalesce(sum(amount) FILTER (WHERE what = 'dispute'), 0) AS disputes
FROM parts
WHERE project_id IS NOT NULL AND (CAST(:project_id AS bigint) IS NULL OR project_id = :project_id)
GROUP BY project_id, month, currency ORDER BY month, currency
""")
