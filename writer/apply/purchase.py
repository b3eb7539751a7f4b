"""A checkout session is written: what was bought once, and whose customer and subscription it made."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any, Final

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import from_datetime, to_datetime
from common.identifiers import IdentifierError, UserId, user_id
from writer.apply import customer, customer_names, owners
from writer.apply.change import Written
from writer.apply.customer_names import Name, Owner, Rank
from writer.domain.stripe.ownership import Claims, Ownership, resolve
from writer.domain.stripe.session import Session, SessionLine
from writer.outbox import Cause
from writer.recompute import Recompute, UserKey


def links(session: Session) -> frozenset[str]:
    """What the session is linked by. Its refunds and disputes meet it under its payment intent's lock."""
    linked = (session.payment_intent, session.subscription_id, session.customer_id)
    return frozenset(name for name in linked if name is not None)


async def write(connection: AsyncConnection, session: Session, recompute: Recompute, cause: Cause) -> Written:
    """Write the state and compute everybody whose it was or is. The caller holds the objects' locks."""
    if session.ended:
        await connection.execute(_END_REQUEST, {"id": session.id})
    if session.status != "complete":
        return Written()
    held = (await connection.execute(_HELD, {"id": session.id})).one()
    payer = await _payer(connection, session, held.claimed_user_id)
    owned = await _owned(connection, session, held, None if payer is None else payer.user)
    keys = {line.id: UserKey(*key) for line in session.one_time_lines if (key := owned.owner_of(line.price_id))}
    refs = await owners.lock(connection, held.holders, [*keys.values(), *([] if payer is None else payer.keys)])
    if payer is not None:
        await customer.settle(connection, payer, refs, livemode=session.livemode)
    if session.one_time_lines:
        await connection.execute(_UPSERT, _row(session, owned))
        await _write_lines(connection, session, {line_id: refs[key] for line_id, key in keys.items()})
    if session.subscription_id is not None:
        await connection.execute(_NAME_SUBSCRIBER, {"id": session.subscription_id, "user_id": _named_user(session)})
    revisions = await recompute.users(connection, set(refs.values()), cause)
    # Of what a subscription sells, its own events tell whose it is.
    unassigned = owned.unassigned if session.one_time_lines else None
    return Written(revisions, unassigned, None if owned.ours else owners.NOT_OURS)


async def load(connection: AsyncConnection, session_id: str) -> Session:
    """The purchase as last written, to be assigned again. The caller holds its lock."""
    return (await load_many(connection, [session_id]))[session_id]


async def load_many(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Session]:
    """Those of the sessions that are held as purchases, as last written, by id; their lines sorted by id."""
    rows = (await connection.execute(_LOAD, {"ids": list(ids)})).all()
    lines = defaultdict(list)
    for line in await connection.execute(_LOAD_LINES, {"ids": list(ids)}):
        lines[line.purchase_id].append(_line(line))
    return {row.id: _session(row, lines[row.id]) for row in rows}


def _session(row: Row[Any], lines: Iterable[SessionLine]) -> Session:
    return Session(
        id=row.id,
        mode=row.mode,
        status="complete",
        payment_status=row.payment_status,
        customer_id=row.customer_id,
        client_reference_id=row.client_reference_id,
        subscription_id=None,
        payment_intent=row.payment_intent,
        invoice_id=row.invoice_id,
        amount_total=row.amount_total,
        currency=row.currency,
        created=from_datetime(row.completed_at),
        paid_from=None,
        livemode=row.livemode,
        metadata=row.metadata,
        lines=tuple(lines),
    )


def paid_by(session: Session, payment_intent: str | None) -> Session:
    """The session with the payment intent of its invoice, which is what paid for it in subscription mode."""
    return session if session.payment_intent else replace(session, payment_intent=payment_intent)


async def _owned(
    connection: AsyncConnection, session: Session, held: Row[Any], customer_user: UserId | None
) -> Ownership:
    facts = await owners.facts(connection, session.metadata.get("project_id"), session.deciding_prices, None)
    claims = Claims(
        metadata=session.metadata,
        claimed_user_id=held.claimed_user_id,
        client_reference_id=session.client_reference_id,
        customer_user_id=customer_user,
    )
    return resolve(claims, facts.known, session.deciding_prices)


def _named_user(session: Session) -> str | None:
    return session.metadata.get("user_id") or session.client_reference_id


async def _payer(connection: AsyncConnection, session: Session, claimed: str | None) -> Owner | None:
    """Whose customer paid, now that the session says whom it knows; None: it has no customer."""
    if session.customer_id is None:
        return None
    await customer_names.say(connection, session.customer_id, session.id, _name(session, claimed))
    return await customer_names.owner(connection, session.customer_id, also=session.deciding_prices)


def _name(session: Session, claimed: str | None) -> Name | None:
    """Whom the session names as its customer's user."""
    named = _named_user(session)
    try:
        user = user_id(named or claimed or "")
    except IdentifierError:
        return None
    rank = Rank.SESSION if named else Rank.CLAIMED_SESSION
    return Name(rank, user, session.metadata.get("project_id"), session.deciding_prices, session.created)


async def _write_lines(connection: AsyncConnection, session: Session, refs: dict[str, int]) -> None:
    rows = [
        {
            "id": line.id,
            "purchase_id": session.id,
            "user_ref": refs.get(line.id),
            "price_id": line.price_id,
            "product_id": line.product_id,
            "quantity": line.quantity,
            "amount_total": line.amount_total,
        }
        for line in session.one_time_lines
    ]
    await connection.execute(_DELETE_LINES, {"purchase_id": session.id, "ids": [row["id"] for row in rows]})
    await connection.execute(_UPSERT_LINE, rows)


def _row(session: Session, owned: Ownership) -> dict[str, object]:
    return {
        "id": session.id,
        "customer_id": session.customer_id,
        "user_id": None if owned.unassigned else owned.user_id,
        "client_reference_id": session.client_reference_id,
        "project_id": owned.project_id,
        "unassigned_reason": None if owned.unassigned is None else owned.unassigned.value,
        "mode": session.mode,
        "payment_status": session.payment_status,
        "payment_intent": session.payment_intent,
        "invoice_id": session.invoice_id,
        "amount_total": session.amount_total,
        "currency": session.currency,
        "completed_at": to_datetime(session.paid_from or session.created),
        "livemode": session.livemode,
        "metadata": orjson.dumps(session.metadata).decode(),
    }


def _line(row: Row[Any]) -> SessionLine:
    return SessionLine(row.id, row.price_id, row.product_id, row.quantity, row.amount_total, recurring=False)


_HELD: Final = text("""
SELECT p.claimed_user_id,
    (SELECT json_agg(json_build_array(u.project_id, u.user_id)) FROM users u WHERE u.id IN (
        SELECT user_ref FROM purchase_lines WHERE purchase_id = w.id
        UNION SELECT user_ref FROM checkout_requests WHERE session_id = w.id)) AS holders
FROM (SELECT CAST(:id AS text) AS id) w LEFT JOIN purchases p ON p.id = w.id
""")

_END_REQUEST: Final = text("""
UPDATE checkout_requests SET completed_at = now() WHERE session_id = :id AND completed_at IS NULL
""")

_LOAD: Final = text("SELECT * FROM purchases WHERE id = ANY(CAST(:ids AS text[]))")

_LOAD_LINES: Final = text("""
SELECT * FROM purchase_lines WHERE purchase_id = ANY(CAST(:ids AS text[])) ORDER BY id
""")

_UPSERT: Final = text("""
INSERT INTO purchases (id, customer_id, user_id, client_reference_id, project_id, unassigned_reason, mode,
    payment_status, payment_intent, invoice_id, amount_total, currency, completed_at, livemode, metadata)
VALUES (:id, :customer_id, :user_id, :client_reference_id, :project_id, :unassigned_reason, :mode,
    :payment_status, :payment_intent, :invoice_id, :amount_total, :currency, :completed_at, :livemode,
    CAST(:metadata AS jsonb))
ON CONFLICT (id) DO UPDATE SET
    customer_id = EXCLUDED.customer_id, user_id = EXCLUDED.user_id,
    client_reference_id = EXCLUDED.client_reference_id, project_id = EXCLUDED.project_id,
    unassigned_reason = EXCLUDED.unassigned_reason, payment_status = EXCLUDED.payment_status,
    payment_intent = coalesce(EXCLUDED.payment_intent, purchases.payment_intent), invoice_id = EXCLUDED.invoice_id,
    amount_total = EXCLUDED.amount_total, completed_at = EXCLUDED.completed_at, metadata = EXCLUDED.metadata,
    updated_at = now()
""")

_DELETE_LINES: Final = text("DELETE FROM purchase_lines WHERE purchase_id = :purchase_id AND id <> ALL(:ids)")

_UPSERT_LINE: Final = text("""
INSERT INTO purchase_lines (id, purchase_id, user_ref, price_id, product_id, quantity, amount_total)
VALUES (:id, :purchase_id, :user_ref, :price_id, :product_id, :quantity, :amount_total)
ON CONFLICT (id) DO UPDATE SET
    user_ref = EXCLUDED.user_ref, price_id = EXCLUDED.price_id, product_id = EXCLUDED.product_id,
    quantity = EXCLUDED.quantity, amount_total = EXCLUDED.amount_total
""")

_NAME_SUBSCRIBER: Final = text("""
UPDATE subscriptions SET session_user_id = :user_id WHERE id = :id AND session_user_id IS DISTINCT FROM :user_id
""")
