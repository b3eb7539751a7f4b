"""Finds what is not whose it should be, by comparing states: work that was cut off is found again."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.apply.customer_names import rule

Statements = Sequence[TextClause]
"""Each finds ids, sorted; what several find is found once."""


async def ids(connection: AsyncConnection, statements: Statements, parameters: dict[str, Any]) -> list[str]:
    """What any of the statements finds, sorted."""
    found: set[str] = set()
    for statement in statements:
        found |= set((await connection.execute(statement, parameters)).scalars())
    return sorted(found)


def _customers(those: str) -> Statements:
    """Of those customers (a query of ids) the ones who are not settled by the rule."""
    return (
        text(f"""
SELECT c.id FROM stripe_customers c
CROSS JOIN LATERAL ({rule("c.id")}) owner
LEFT JOIN users u ON u.id = c.user_ref
WHERE c.id IN ({those})
    AND (c.user_id IS DISTINCT FROM owner.user_id OR u.project_id IS DISTINCT FROM owner.project_id
        OR u.user_id IS DISTINCT FROM CASE WHEN owner.project_id IS NOT NULL THEN owner.user_id END
            AND NOT EXISTS (SELECT FROM users m WHERE m.merged_into = u.id AND m.user_id = owner.user_id))
"""),  # noqa: S608 - constants of ours
    )


def _of_customers(table: str, own: str, those: str) -> TextClause:
    """What those customers bought that names nobody (`own`: by this column) and is not its customer's user's."""
    return text(f"""
SELECT h.id FROM {table} h JOIN stripe_customers c ON c.id = h.customer_id
WHERE c.id IN ({those})
    AND coalesce(nullif(h.metadata->>'user_id', ''), h.claimed_user_id, {own}) IS NULL
    AND h.user_id IS DISTINCT FROM c.user_id
""")  # noqa: S608


def _of_prices(table: str, lines: str, parent: str) -> TextClause:
    """What was bought by these prices, where its project is not the price's."""
    return text(f"""
SELECT DISTINCT h.id FROM {lines} l
JOIN {table} h ON h.id = l.{parent} JOIN prices p ON p.id = l.price_id
LEFT JOIN users u ON u.id = l.user_ref
WHERE l.price_id = ANY(:prices) AND CASE WHEN h.project_id IS NULL
    THEN p.project_id IS DISTINCT FROM u.project_id
    ELSE coalesce(p.project_id <> h.project_id, false) <> (h.unassigned_reason IS NOT NULL) END
""")  # noqa: S608


def _of_project(table: str) -> TextClause:
    """What named the project before it existed."""
    return text(f"SELECT id FROM {table} WHERE project_id IS NULL AND metadata->>'project_id' = :project")  # noqa: S608


# Whom their own metadata name in a project of ours, nothing that was sold to them can name: those are nearly all.
_KNOWN_BY_SALES: Final = """
SELECT n.customer_id FROM customer_names n WHERE n.price_ids && CAST(:prices AS text[])
AND NOT EXISTS (SELECT FROM customer_names m JOIN projects p ON p.public_id = m.project
    WHERE m.customer_id = n.customer_id AND m.said_by = 'metadata')"""
_KNOWN_IN_PROJECT: Final = "SELECT customer_id FROM customer_names WHERE project = :project"
_SESSION_OF_SUBSCRIPTION: Final = "h.session_user_id"
_SESSION_OF_PURCHASE: Final = "nullif(h.client_reference_id, '')"

PRICES_CUSTOMERS: Final = _customers(_KNOWN_BY_SALES)
PRICES_SUBSCRIPTIONS: Final = (
    _of_prices("subscriptions", "subscription_items", "subscription_id"),
    _of_customers("subscriptions", _SESSION_OF_SUBSCRIPTION, _KNOWN_BY_SALES),
)
PRICES_PURCHASES: Final = (
    _of_prices("purchases", "purchase_lines", "purchase_id"),
    _of_customers("purchases", _SESSION_OF_PURCHASE, _KNOWN_BY_SALES),
)
"""Of what was bought by `:prices`, and of customers of whom somebody who bought by them tells."""

PROJECT_CUSTOMERS: Final = _customers(_KNOWN_IN_PROJECT)
PROJECT_SUBSCRIPTIONS: Final = (
    _of_project("subscriptions"),
    _of_customers("subscriptions", _SESSION_OF_SUBSCRIPTION, _KNOWN_IN_PROJECT),
)
PROJECT_PURCHASES: Final = (
    _of_project("purchases"),
    _of_customers("purchases", _SESSION_OF_PURCHASE, _KNOWN_IN_PROJECT),
)
"""Of what names `:project`, and of customers of whom that is said."""

CUSTOMERS_SUBSCRIPTIONS: Final = (
    text("""
SELECT s.id FROM subscriptions s
LEFT JOIN stripe_customers c ON c.id = s.customer_id
WHERE (s.customer_id = CAST(:customer AS text) OR s.id = CAST(:subscription AS text))
    AND s.user_id IS DISTINCT FROM
        coalesce(nullif(s.metadata->>'user_id', ''), s.claimed_user_id, s.session_user_id, c.user_id)
"""),
)
CUSTOMERS_PURCHASES: Final = (
    text("""
SELECT p.id FROM purchases p
LEFT JOIN stripe_customers c ON c.id = p.customer_id
WHERE p.customer_id = CAST(:customer AS text)
    AND p.user_id IS DISTINCT FROM
        coalesce(nullif(p.metadata->>'user_id', ''), p.claimed_user_id, p.client_reference_id, c.user_id)
"""),
)
"""Of what `:customer` bought, and of `:subscription`."""
