"""Finds users by whatever an operator has at hand: a user id, a customer, what was bought, a payment, a grant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import ProjectId, UserId

MOST: Final = 100
_MAX_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Hit:
    """A user, and by what they were found, such as `subscription sub_1`. `user` None: it is nobody's yet."""

    project: ProjectId | None
    user: UserId | None
    by: str


async def find(connection: AsyncConnection, words: str, project: str | None) -> Sequence[Hit]:
    """At most `MOST`, of one project or of all: first who is found exactly, then whose user id begins so."""
    words = words.strip()
    if not words:
        return []
    parameters = {"words": words, "project": project, "most": MOST}
    hits = [_hit(row) for row in await connection.execute(_EXACT, parameters)]
    statement = _BY_PREFIX.get(words.partition("_")[0])
    if statement is not None:
        hits += [_hit(row) for row in await connection.execute(statement, parameters)]
    if words.isascii() and words.isdecimal() and int(words) <= _MAX_ID:
        hits += [_hit(row) for row in await connection.execute(_GRANT, {**parameters, "id": int(words)})]
    if len(hits) < MOST:
        found = {(hit.project, hit.user) for hit in hits}
        rows = await connection.execute(_LIKE, {**parameters, "most": MOST - len(hits)})
        hits += [hit for hit in map(_hit, rows) if (hit.project, hit.user) not in found]
    return hits[:MOST]


def _hit(row: Row[Any]) -> Hit:
    return Hit(
        None if row.project is None else ProjectId(row.project),
        None if row.user_id is None else UserId(row.user_id),
        row.by,
    )


_OF_PROJECT: Final = "(CAST(:project AS text) IS NULL OR p.public_id = :project)"

_EXACT: Final = text(f"""
SELECT p.public_id AS project, u.user_id, 'user id' AS by
FROM projects p JOIN users u ON u.project_id = p.id AND u.user_id = :words
WHERE {_OF_PROJECT} ORDER BY p.public_id LIMIT :most
""")  # noqa: S608 - the condition is ours

_LIKE: Final = text(f"""
SELECT p.public_id AS project, u.user_id, 'user id' AS by FROM users u JOIN projects p ON p.id = u.project_id
WHERE starts_with(u.user_id, :words) AND {_OF_PROJECT} ORDER BY u.user_id, p.public_id LIMIT :most
""")  # noqa: S608 - the condition is ours

_GRANT: Final = text(f"""
SELECT p.public_id AS project, u.user_id, 'grant ' || g.id AS by
FROM manual_grants g JOIN users u ON u.id = g.user_ref JOIN projects p ON p.id = u.project_id
WHERE g.id = :id AND {_OF_PROJECT} LIMIT :most
""")  # noqa: S608 - the condition is ours


def _bought(subscriptions: str | None, purchases: str | None) -> TextClause:
    """Users of subscriptions and purchases that the conditions name; a row without one where they are nobody's."""
    parts = []
    if subscriptions is not None:
        parts.append(f"""
SELECT p.public_id AS project, u.user_id, 'subscription ' || s.id AS by
FROM subscriptions s JOIN subscription_items i ON i.subscription_id = s.id
    LEFT JOIN users u ON u.id = i.user_ref LEFT JOIN projects p ON p.id = u.project_id
WHERE {subscriptions} AND {_OF_PROJECT}""")  # noqa: S608 - the conditions are ours
    if purchases is not None:
        parts.append(f"""
SELECT p.public_id AS project, u.user_id, 'purchase ' || c.id AS by
FROM purchases c JOIN purchase_lines l ON l.purchase_id = c.id
    LEFT JOIN users u ON u.id = l.user_ref LEFT JOIN projects p ON p.id = u.project_id
WHERE {purchases} AND {_OF_PROJECT}""")  # noqa: S608 - the conditions are ours
    return text(f"SELECT * FROM ({' UNION '.join(parts)}) found ORDER BY by, project, user_id LIMIT :most")  # noqa: S608


_OF_INVOICE: Final = "IN (SELECT subscription_id FROM invoices WHERE id = :words)"

_BY_PREFIX: Final[Mapping[str, TextClause]] = {
    "sub": _bought("s.id = :words", None),
    "cs": _bought(None, "c.id = :words"),
    "cus": _bought("s.customer_id = :words", "c.customer_id = :words"),
    "in": _bought(f"s.id {_OF_INVOICE}", "c.invoice_id = :words"),
    "pi": _bought(None, "c.payment_intent = :words"),
    "re": _bought(None, "c.payment_intent = (SELECT payment_intent FROM refunds WHERE id = :words)"),
    "du": _bought(None, "c.payment_intent = (SELECT payment_intent FROM disputes WHERE id = :words)"),
    "dp": _bought(None, "c.payment_intent = (SELECT payment_intent FROM disputes WHERE id = :words)"),
    "evt": _bought(
        "s.id = (SELECT object_id FROM webhook_events WHERE id = :words)",
        "c.id = (SELECT object_id FROM webhook_events WHERE id = :words)",
    ),
}
"""How something of Stripe's leads to a user, by how its id begins."""
