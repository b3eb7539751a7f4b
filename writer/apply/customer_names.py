"""Who says whose a customer is, all of it kept; and whose it is by that, as projects and prices are now.

Its metadata count most, then an operator's word, then the earliest of its complete sessions that names anybody. What
is said counts where it is of ours: in a project of ours by name, or about a sale by a price of ours. As both may change
later, nothing is judged when it is heard: the answer follows from everything that was ever said, so that it does not
matter in which order that came to be known.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, to_datetime
from common.identifiers import UserId
from writer.apply import owners
from writer.recompute import UserKey

METADATA: Final = "metadata"
OPERATOR: Final = "operator"
"""Who says it, besides sessions, which say it by their own ids."""


class Rank(IntEnum):
    """What counts most comes first; the values are `customer_names.rank`."""

    METADATA = 0
    OPERATOR = 1
    SESSION = 2
    CLAIMED_SESSION = 3
    """It names nobody, and an operator said whose it is."""


@dataclass(frozen=True, slots=True)
class Name:
    """A user that is said to be the customer's."""

    rank: Rank
    user: UserId
    project: str | None
    """Public id, as named with the user; such a project need not exist."""
    price_ids: Collection[str] = ()
    """What the session sold."""
    created: Instant | None = None
    """The session's."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a customer is, and whose it was when that was last settled."""

    customer_id: str
    before: UserId | None
    user: UserId | None
    project_id: int | None
    """The project whose user's checkouts and portal use it: the one that the first of those who name the user means."""

    @property
    def key(self) -> UserKey | None:
        """The user of that project."""
        return None if self.user is None or self.project_id is None else UserKey(self.project_id, self.user)

    @property
    def keys(self) -> list[UserKey]:
        """The same, to be locked with others."""
        return [] if self.key is None else [self.key]


async def say(connection: AsyncConnection, customer_id: str, said_by: str, name: Name | None) -> None:
    """Keep what `said_by` says, or that it names nobody. The caller holds the customer's lock."""
    parameters: dict[str, Any] = {"customer": customer_id, "said_by": said_by}
    if name is None:
        await connection.execute(_UNSAY, parameters)
        return
    parameters |= {
        "rank": name.rank.value,
        "user_id": name.user,
        "project": name.project,
        "price_ids": sorted(name.price_ids),
        "created": None if name.created is None else to_datetime(name.created),
    }
    await connection.execute(_SAY, parameters)


async def owner(connection: AsyncConnection, customer_id: str, also: Collection[str] = ()) -> Owner:
    """Whose the customer is, as it stays to the transaction's end. The caller holds the customer's lock.

    `also`: prices whose projects are read next; they are held together with those that this depends on.
    """
    await connection.execute(_HOLD_PRICES, {"customer": customer_id, "also": list(also)})
    row = (await connection.execute(_OWNER, {"customer": customer_id})).one()
    if row.unknown_projects:
        await owners.keep_unknown(connection, row.unknown_projects)
        row = (await connection.execute(_OWNER, {"customer": customer_id})).one()
    return Owner(customer_id, _user(row.before), _user(row.user_id), row.project_id)


def _user(name: str | None) -> UserId | None:
    return None if name is None else UserId(name)


def rule(customer: str) -> str:
    """The rule as a query of one row: `user_id`, `project_id`, for a customer's id as SQL knows it."""
    return f"""
SELECT (array_agg(said.user_id ORDER BY said.place))[1] AS user_id,
    (array_agg(said.project_id ORDER BY said.place)
        FILTER (WHERE said.project_id IS NOT NULL AND said.user_id = said.first_user))[1] AS project_id
FROM (
    SELECT n.user_id, first_value(n.user_id) OVER places AS first_user, row_number() OVER places AS place,
        CASE WHEN n.project IS NULL AND cardinality(sold.projects) = 1 THEN sold.projects[1]
             WHEN coalesce(sold.projects = ARRAY[named.id], true) THEN named.id END AS project_id
    FROM customer_names n
    LEFT JOIN projects named ON named.public_id = n.project
    CROSS JOIN LATERAL (SELECT array_agg(DISTINCT p.project_id) AS projects
        FROM prices p WHERE p.id = ANY(n.price_ids) AND p.project_id IS NOT NULL) sold
    WHERE n.customer_id = {customer}
        AND (named.id IS NOT NULL OR sold.projects IS NOT NULL OR n.said_by = '{OPERATOR}')
    WINDOW places AS (ORDER BY n.rank, n.created, n.said_by COLLATE "C")) said
"""  # noqa: S608 - constants of ours


_UNSAY: Final = text("DELETE FROM customer_names WHERE customer_id = :customer AND said_by = :said_by")

# A purchase that is assigned again knows when it was paid, and no longer when its session was made, which was earlier.
_SAY: Final = text("""
INSERT INTO customer_names (customer_id, said_by, rank, user_id, project, price_ids, created)
VALUES (:customer, :said_by, :rank, :user_id, :project, :price_ids, :created)
ON CONFLICT (customer_id, said_by) DO UPDATE SET
    rank = EXCLUDED.rank, user_id = EXCLUDED.user_id, project = EXCLUDED.project, price_ids = EXCLUDED.price_ids,
    created = least(customer_names.created, EXCLUDED.created)
""")

# A price's project may not move between this reading and the commit, or nobody would find what depends on it.
_HOLD_PRICES: Final = text("""
SELECT id FROM prices WHERE id = ANY(CAST(:also AS text[]) || ARRAY(
    SELECT unnest(price_ids) FROM customer_names WHERE customer_id = :customer))
ORDER BY id FOR SHARE
""")

_OWNER: Final = text(f"""
SELECT owner.user_id, owner.project_id,
    (SELECT user_id FROM stripe_customers WHERE id = :customer) AS before,
    ARRAY(SELECT DISTINCT n.project FROM customer_names n WHERE n.customer_id = :customer AND n.project IS NOT NULL
        AND NOT EXISTS (SELECT FROM projects p WHERE p.public_id = n.project)) AS unknown_projects
FROM ({rule("CAST(:customer AS text)")}) owner
""")  # noqa: S608
