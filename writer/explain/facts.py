"""Everything that was ever bought by or granted to a user, as it is held: also what grants nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import UserId
from writer.operations.projects import Project

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """Rows as JSON; times in them are whole microseconds. `user_ref` None: the project never heard of the user."""

    user_ref: int | None
    subscriptions: Sequence[Json]
    purchases: Sequence[Json]
    grants: Sequence[Json]
    customers: Sequence[str]
    """The user's customers at Stripe."""
    other_projects: Sequence[str]
    """Where else a user of this id is known."""


async def read(connection: AsyncConnection, project: Project, user: UserId, refs: Sequence[str]) -> Facts:
    """What is held; `refs` are further subscriptions and purchases that are meant, wherever they belong now."""
    named = {"project_id": project.id, "user_id": user}
    user_ref = (await connection.execute(_USER, named)).scalar_one_or_none()
    parameters = {**named, "user_ref": user_ref, "refs": list(refs)}
    subscriptions = await _facts(connection, _SUBSCRIPTIONS, parameters)
    purchases = await _facts(connection, _PURCHASES, parameters)
    bought = [*subscriptions, *purchases]
    theirs = {one["customer_id"] for one in bought if one["customer_id"] and any(i["mine"] for i in one["items"])}
    linked = (await connection.execute(_CUSTOMERS, {"user_ref": user_ref})).scalars()
    return Facts(
        user_ref=user_ref,
        subscriptions=subscriptions,
        purchases=purchases,
        grants=await _facts(connection, _GRANTS, {"user_ref": user_ref}),
        customers=sorted({*theirs, *linked}),
        other_projects=list((await connection.execute(_ELSEWHERE, named)).scalars()),
    )


async def _facts(connection: AsyncConnection, statement: TextClause, parameters: Json) -> list[Json]:
    return list((await connection.execute(statement, parameters)).scalars())


def _us(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint"


def _items(table: str, owner: str, more: str) -> str:
    return f"""(SELECT coalesce(json_agg(json_build_object(
        'price_id', i.price_id, 'price_name', coalesce(c.nickname, c.lookup_key), 'product_id', i.product_id,
        'product_name', d.name, 'quantity', i.quantity, 'price_project', j.public_id,
        'mine', coalesce(i.user_ref = :user_ref, false), 'owner', o.user_id, 'owner_project', q.public_id{more})
        ORDER BY i.id), '[]')
    FROM {table} i LEFT JOIN prices c ON c.id = i.price_id LEFT JOIN products d ON d.id = i.product_id
        LEFT JOIN projects j ON j.id = c.project_id LEFT JOIN users o ON o.id = i.user_ref
        LEFT JOIN projects q ON q.id = o.project_id
    WHERE i.{owner} = s.id)"""  # noqa: S608 - our own words


def _mine(table: str, lines: str, owner: str) -> str:
    """Ids of what is the user's, what would be if its price were placed, and what names the user and is nobody's."""
    return f"""SELECT i.{owner} AS id FROM {lines} i WHERE i.user_ref = :user_ref
    UNION SELECT i.{owner} FROM {lines} i JOIN {table} s ON s.id = i.{owner}
    WHERE i.user_ref IS NULL AND (s.user_id = :user_id OR s.metadata->>'user_id' = :user_id)
        AND (s.project_id IS NULL OR s.project_id = :project_id)
    UNION SELECT unnest(CAST(:refs AS text[]))"""  # noqa: S608 - our own words


_USER: Final = text("SELECT id FROM users WHERE project_id = :project_id AND user_id = :user_id")

_ELSEWHERE: Final = text("""
SELECT p.public_id FROM projects p JOIN users u ON u.project_id = p.id AND u.user_id = :user_id
WHERE p.id <> :project_id ORDER BY 1
""")

_CUSTOMERS: Final = text("SELECT id FROM stripe_customers WHERE user_ref = CAST(:user_ref AS bigint)")

_SUBSCRIPTIONS: Final = text(f"""
WITH mine AS ({_mine("subscriptions", "subscription_items", "subscription_id")})
SELECT json_build_object(
    'id', s.id, 'customer_id', s.customer_id, 'user_id', s.user_id, 'unassigned_reason', s.unassigned_reason,
    'status', s.status, 'started_at', {_us("s.started_at")}, 'trial_end', {_us("s.trial_end")},
    'cancel_at', {_us("s.cancel_at")}, 'cancel_at_period_end', s.cancel_at_period_end,
    'canceled_at', {_us("s.canceled_at")}, 'ended_at', {_us("s.ended_at")},
    'collection_method', s.collection_method, 'collection_paused', s.pause_collection IS NOT NULL,
    'invoices', (SELECT coalesce(json_agg(json_build_object(
            'id', v.id, 'status', v.status, 'amount_due', v.amount_due, 'amount_paid', v.amount_paid,
            'currency', v.currency, 'finalized_at', {_us("v.finalized_at")}, 'due_date', {_us("v.due_date")},
            'paid_at', {_us("v.paid_at")}) ORDER BY v.finalized_at, v.id), '[]')
        FROM invoices v WHERE v.subscription_id = s.id),
    'states', (SELECT coalesce(json_agg(json_build_object(
            'recorded_at', {_us("h.recorded_at")}, 'cause', h.cause, 'state', h.state) ORDER BY h.id), '[]')
        FROM subscription_history h WHERE h.subscription_id = s.id),
    'items', {_items("subscription_items", "subscription_id", f", 'period_end', {_us('i.period_end')}")})
FROM mine m JOIN subscriptions s ON s.id = m.id ORDER BY s.started_at, s.id
""")  # noqa: S608 - our own words

_PURCHASES: Final = text(f"""
WITH mine AS ({_mine("purchases", "purchase_lines", "purchase_id")})
SELECT json_build_object(
    'id', s.id, 'customer_id', s.customer_id, 'user_id', s.user_id, 'unassigned_reason', s.unassigned_reason,
    'mode', s.mode, 'payment_status', s.payment_status, 'payment_intent', s.payment_intent,
    'invoice_id', s.invoice_id, 'amount_total', s.amount_total, 'currency', s.currency,
    'completed_at', {_us("s.completed_at")},
    'refunds', (SELECT coalesce(json_agg(json_build_object(
            'id', r.id, 'amount', r.amount, 'currency', r.currency, 'status', r.status,
            'created_at', {_us("r.created_at")}) ORDER BY r.created_at, r.id), '[]')
        FROM refunds r WHERE r.payment_intent = s.payment_intent),
    'disputes', (SELECT coalesce(json_agg(json_build_object(
            'id', d.id, 'amount', d.amount, 'currency', d.currency, 'status', d.status,
            'created_at', {_us("d.created_at")}) ORDER BY d.created_at, d.id), '[]')
        FROM disputes d WHERE d.payment_intent = s.payment_intent),
    'items', {_items("purchase_lines", "purchase_id", ", 'amount_total', i.amount_total")})
FROM mine m JOIN purchases s ON s.id = m.id ORDER BY s.completed_at, s.id
""")  # noqa: S608 - our own words

_GRANTS: Final = text(f"""
SELECT json_build_object(
    'id', g.id::text, 'feature_code', g.feature_code, 'value', g.value, 'valid_from', {_us("g.valid_from")},
    'valid_to', {_us("g.valid_to")}, 'reason', g.reason, 'actor', g.actor, 'created_at', {_us("g.created_at")},
    'revoked_at', {_us("g.revoked_at")}, 'revoked_by', g.revoked_by, 'revoke_reason', g.revoke_reason)
FROM manual_grants g WHERE g.user_ref = CAST(:user_ref AS bigint) ORDER BY g.id
""")  # noqa: S608 - our own words
