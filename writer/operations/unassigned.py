"""What was bought and is ours by price, and grants nothing to anybody: shown with the reason and how to mend it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime
from common.identifiers import ProjectId
from writer.db.transaction import Transactions
from writer.domain.stripe.ownership import Unassigned
from writer.operations import projects

MOST: Final = 1_000

_MEND: Final[dict[str, str]] = {
    Unassigned.NO_USER: "billing claim {id} USER, or set user_id in its metadata at Stripe",
    Unassigned.BAD_USER: "correct user_id in its metadata at Stripe: 1 to 255 characters, none a control character",
    Unassigned.UNKNOWN_PROJECT: "create that project (billing project create), or correct project_id in its metadata",
    Unassigned.CONFLICT: "correct project_id in its metadata at Stripe, or which project its price belongs to",
}


@dataclass(frozen=True, slots=True)
class UnassignedObject:
    """A subscription or a purchase that is nobody's. `amount` in the currency's smallest unit, None where unknown."""

    id: str
    customer_id: str | None
    reason: str
    status: str
    products: tuple[str, ...]
    projects: tuple[ProjectId, ...]
    amount: int | None
    currency: str | None
    since: Instant

    @property
    def since_text(self) -> str:
        """When it was begun or bought."""
        return format_time(self.since)

    @property
    def mend(self) -> str:
        """What to do about it."""
        return _MEND.get(self.reason, "correct its metadata at Stripe").format(id=self.id)


async def list_all(
    connection: AsyncConnection,
    project: str | None,
    *,
    ended: bool,
    limit: int = MOST,
    ids: Sequence[str] | None = None,
) -> Sequence[UnassignedObject]:
    """Oldest first; of one project by its prices or metadata. `ended`: subscriptions that are over too.

    `ids`: only those among them.
    """
    parameters = {"project": project, "ended": ended, "limit": limit, "ids": None if ids is None else list(ids)}
    return [_one(row) for row in await connection.execute(_LIST, parameters)]


async def find(transactions: Transactions, project: str | None, *, ended: bool) -> Sequence[UnassignedObject]:
    """The same; UnknownError `unknown_project` for one that is not there."""

    async def work(connection: AsyncConnection) -> Sequence[UnassignedObject]:
        if project is not None:
            await projects.find(connection, project)
        return await list_all(connection, project, ended=ended)

    return await transactions.run(work)


def to_json(one: UnassignedObject) -> dict[str, Any]:
    """As routes and `--json` show it."""
    return {
        "id": one.id,
        "customer_id": one.customer_id,
        "reason": one.reason,
        "mend": one.mend,
        "status": one.status,
        "products": list(one.products),
        "projects": list(one.projects),
        "amount": one.amount,
        "currency": one.currency,
        "since": one.since_text,
    }


def _one(row: Row[Any]) -> UnassignedObject:
    return UnassignedObject(
        id=row.id,
        customer_id=row.customer_id,
        reason=row.unassigned_reason,
        status=row.status,
        products=tuple(row.products),
        projects=tuple(row.projects),
        amount=row.amount,
        currency=row.currency,
        since=from_datetime(row.since),
    )


_LIST: Final = text("""
WITH nobodys AS (
    SELECT s.id, s.customer_id, s.unassigned_reason, s.status, s.started_at AS since, s.metadata,
        NULL::bigint AS total, NULL::text AS currency
    FROM subscriptions s WHERE s.unassigned_reason IS NOT NULL
        AND (CAST(:ended AS boolean) OR s.status NOT IN ('canceled', 'incomplete_expired'))
    UNION ALL
    SELECT p.id, p.customer_id, p.unassigned_reason, p.payment_status, p.completed_at, p.metadata,
        p.amount_total, p.currency
    FROM purchases p WHERE p.unassigned_reason IS NOT NULL
), meant AS (
    SELECT n.* FROM nobodys n WHERE CAST(:ids AS text[]) IS NULL OR n.id = ANY(CAST(:ids AS text[]))
), bought AS (
    SELECT subscription_id AS id, price_id, product_id, quantity FROM subscription_items
    UNION ALL SELECT purchase_id, price_id, product_id, quantity FROM purchase_lines
)
SELECT n.id, n.customer_id, n.unassigned_reason, n.status, n.since,
    coalesce(n.currency, b.currency) AS currency, coalesce(n.total, b.amount) AS amount,
    coalesce(b.products, '{}') AS products, coalesce(b.projects, '{}') AS projects
FROM meant n LEFT JOIN LATERAL (
    SELECT min(c.currency) AS currency, sum(c.unit_amount * i.quantity)::bigint AS amount,
        array_agg(DISTINCT coalesce(d.name, i.product_id)) AS products,
        array_agg(DISTINCT j.public_id) FILTER (WHERE j.id IS NOT NULL) AS projects
    FROM bought i LEFT JOIN prices c ON c.id = i.price_id LEFT JOIN products d ON d.id = i.product_id
        LEFT JOIN projects j ON j.id = c.project_id
    WHERE i.id = n.id
) b ON true
WHERE CAST(:project AS text) IS NULL OR n.metadata->>'project_id' = :project OR :project = ANY(b.projects)
ORDER BY n.since, n.id LIMIT :limit
""")
