"""Customers: whose they are by their metadata, and whether they still exist."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import IdentifierError, user_id
from writer.domain.stripe.customer import Customer, parse_customer
from writer.domain.stripe.kinds import ObjectKind
from writer.reconcile.comparing.facts import Comparison, Facts, Sides


async def _sides(connection: AsyncConnection, parsed: Sequence[Customer]) -> Mapping[str, Sides]:
    rows = await connection.execute(_HELD, {"ids": [one.id for one in parsed]})
    held = {row.id: row for row in rows}
    projects = {one.metadata["project_id"] for one in parsed if one.metadata.get("project_id")}
    ours = set((await connection.execute(_PROJECTS, {"projects": sorted(projects)})).scalars())
    return {one.id: sides for one in parsed if (sides := _compared(_told(one, ours), held.get(one.id))) is not None}


def _compared(told: Facts, row: Row[Any] | None) -> Sides | None:
    if row is None:
        return Sides(told, None) if "user" in told else None
    return Sides(told, _held(row, told))


def _told(one: Customer, ours: set[str]) -> Facts:
    """What the customer says that can change anything here; nothing of one that names nobody of ours."""
    if one.deleted:
        return {"deleted": True}
    project = one.metadata.get("project_id")
    try:
        return {"project": project, "user": user_id(one.metadata.get("user_id", ""))} if project in ours else {}
    except IdentifierError:
        return {}


def _held(row: Row[Any], told: Facts) -> Facts:
    facts = {"deleted": row.deleted_at is not None, "project": row.public_id, "user": row.user_id}
    return {name: facts[name] for name in told}


_HELD: Final = text("""
SELECT c.id, c.deleted_at, u.user_id, p.public_id
FROM stripe_customers c LEFT JOIN users u ON u.id = c.user_ref LEFT JOIN projects p ON p.id = u.project_id
WHERE c.id = ANY(CAST(:ids AS text[]))
""")

_PROJECTS: Final = text("SELECT public_id FROM projects WHERE public_id = ANY(CAST(:projects AS text[]))")

CUSTOMERS: Final = Comparison(ObjectKind.CUSTOMER, parse_customer, _sides)
