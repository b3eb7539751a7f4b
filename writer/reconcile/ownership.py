"""Whose everything is, decided again by the rules from what is held now, and mended where it stands otherwise.

A writer that died between a commit and what follows from it, an edit of a customer whose event was lost: whatever the
reason, the state alone tells.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import UserId
from writer.apply.customer_names import rule
from writer.domain.stripe.ownership import Claims, Known, resolve
from writer.reconcile.stages import Stage

CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Misplaced:
    """Something that is not whose it should be."""

    id: str
    detail: Mapping[str, Any]
    vouched: bool
    """Whether what is held names a user; else only Stripe can tell whether it really is nobody's."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A chunk that was looked through."""

    misplaced: tuple[Misplaced, ...]
    last: str | None
    """None: there was nothing more."""


async def look(connection: AsyncConnection, stage: Stage, after: str | None) -> Looked:
    """Decide for the next customers, subscriptions or purchases, by id."""
    if stage is Stage.OWNERS_OF_CUSTOMERS:
        return await _customers(connection, after)
    rows = (await connection.execute(_HELD[stage], {"after": after or "", "most": CHUNK})).all()
    known = await _known(connection, rows)
    misplaced = [found for row in rows if (found := _misplaced(row, known)) is not None]
    return Looked(tuple(misplaced), rows[-1].id if rows else None)


async def _customers(connection: AsyncConnection, after: str | None) -> Looked:
    rows = (await connection.execute(_CUSTOMERS, {"after": after or "", "most": CHUNK})).all()
    misplaced = [found for row in rows if (found := _misplaced_customer(row)) is not None]
    return Looked(tuple(misplaced), rows[-1].id if rows else None)


def _misplaced_customer(row: Row[Any]) -> Misplaced | None:
    project = row.should_project
    held = {"user_id": row.user_id, "owner": _owner(row.project_id, row.ref_user)}
    owner = None if project is None else row.should_user
    should = {"user_id": row.should_user, "owner": _owner(project, _today(owner, row.ref_user, row.once))}
    differing = {name: [held[name], should[name]] for name in held if held[name] != should[name]}
    return Misplaced(row.id, differing, vouched=True) if differing else None


def _misplaced(row: Row[Any], known: Known) -> Misplaced | None:
    claims = Claims(row.metadata, row.claimed_user_id, row.client_reference_id, row.customer_user_id)
    prices = {line["price_id"] for line in row.lines}
    here = Known(known.projects, {price: known.price_projects[price] for price in prices & known.price_projects.keys()})
    owned = resolve(claims, here, prices)
    reason = None if owned.unassigned is None else owned.unassigned.value
    user = None if owned.unassigned else owned.user_id
    held = {"user_id": row.user_id, "project": row.project_id, "unassigned": row.unassigned_reason}
    should = {"user_id": user, "project": owned.project_id, "unassigned": reason}
    for line in row.lines:
        held[line["id"]] = _owner(line["project_id"], line["user_id"])
        project, named = owned.owner_of(line["price_id"]) or (None, None)
        should[line["id"]] = _owner(project, _today(named, line["user_id"], line["once"]))
    differing = {name: [held[name], should[name]] for name in held if held[name] != should[name]}
    return Misplaced(row.id, differing, vouched=owned.user_id is not None) if differing else None


def _today(named: UserId | None, held: UserId | None, once: Collection[str]) -> UserId | None:
    """Who somebody is by now: `held`, where the one who is named was merged into that user."""
    return held if named in once else named


def _owner(project_id: int | None, user: UserId | None) -> str | None:
    return None if user is None else f"{project_id}/{user}"


async def _known(connection: AsyncConnection, rows: Iterable[Row[Any]]) -> Known:
    rows = list(rows)
    parameters = {
        "projects": sorted({row.metadata["project_id"] for row in rows if row.metadata.get("project_id")}),
        "prices": sorted({line["price_id"] for row in rows for line in row.lines}),
    }
    row = (await connection.execute(_KNOWN, parameters)).one()
    return Known(row.projects or {}, row.price_projects or {})


def _statement(table: str, lines: str, parent: str, named: str, condition: str) -> TextClause:
    return text(f"""
SELECT h.id, h.metadata, h.claimed_user_id, {named} AS client_reference_id, c.user_id AS customer_user_id,
    h.user_id, h.project_id, h.unassigned_reason, coalesce(l.lines, '[]'::json) AS lines
FROM (SELECT * FROM {table} WHERE id > CAST(:after AS text) AND {condition}
      ORDER BY id LIMIT :most) h
LEFT JOIN stripe_customers c ON c.id = h.customer_id
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_object('id', i.id, 'price_id', i.price_id, 'project_id', u.project_id,
        'user_id', u.user_id, 'once', ARRAY(SELECT m.user_id FROM users m WHERE m.merged_into = u.id))
        ORDER BY i.id) AS lines
    FROM {lines} i LEFT JOIN users u ON u.id = i.user_ref WHERE i.{parent} = h.id) l ON true
ORDER BY h.id
""")  # noqa: S608 - constants of ours


_HELD: Final[Mapping[Stage, TextClause]] = {
    Stage.OWNERS_OF_SUBSCRIPTIONS: _statement(
        "subscriptions", "subscription_items", "subscription_id", "h.session_user_id",
        "status NOT IN ('canceled', 'incomplete_expired')",
    ),
    Stage.OWNERS_OF_PURCHASES: _statement(
        "purchases", "purchase_lines", "purchase_id", "h.client_reference_id", "true"
    ),
}  # fmt: skip

_CUSTOMERS: Final = text(f"""
SELECT c.id, c.user_id, u.project_id, u.user_id AS ref_user, owner.user_id AS should_user,
    owner.project_id AS should_project, ARRAY(SELECT m.user_id FROM users m WHERE m.merged_into = u.id) AS once
FROM (SELECT * FROM stripe_customers WHERE id > CAST(:after AS text) ORDER BY id LIMIT :most) c
CROSS JOIN LATERAL ({rule("c.id")}) owner LEFT JOIN users u ON u.id = c.user_ref
ORDER BY c.id
""")  # noqa: S608 - constants of ours

_KNOWN: Final = text("""
SELECT
    (SELECT json_object_agg(public_id, id) FROM projects WHERE public_id = ANY(CAST(:projects AS text[]))) AS projects,
    (SELECT json_object_agg(id, project_id) FROM prices
     WHERE id = ANY(CAST(:prices AS text[])) AND project_id IS NOT NULL) AS price_projects
""")

STAGES: Final[Sequence[Stage]] = (Stage.OWNERS_OF_CUSTOMERS, *_HELD)
