"""Confirm: a payer is back from Stripe, and what they paid for holds before they see the next page.

The session is fetched and applied by the ordinary path, at once; the webhook that follows finds nothing left to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Clock, Instant
from common.identifiers import UserId
from common.position import Position
from common.problems import Problem
from writer.auth import KeyHolder
from writer.db.transaction import Transactions
from writer.domain.stripe.kinds import ObjectKind
from writer.gateway.stripe_gateway import Fetched
from writer.outbox import Cause, Revision
from writer.wakeup import Wakeup

_DEAD_PAYMENT: Final = frozenset({"requires_payment_method", "canceled"})
"""States of a payment intent, once its session is complete, in which no money is on its way any more."""


class SessionSource(Protocol):
    """What is asked of Stripe."""

    async def retrieve_session_with_lines(self, id: str) -> Fetched:  # noqa: A002 - Stripe's word
        """A session with all of its lines, its payment intent and its subscription expanded."""
        ...


class Applier(Protocol):
    """Applies a fetched object by the path that webhooks take."""

    async def apply_object(
        self,
        kind: ObjectKind,
        object: Mapping[str, Any],  # noqa: A002 - Stripe's word
        as_of: Instant,
        cause: Cause,
    ) -> list[Revision]:
        """The revisions that it caused, committed."""
        ...


@dataclass(frozen=True, slots=True)
class Confirmation:
    """How a session stands, and what its user holds now."""

    session_id: str
    status: str
    """As Stripe names it: open, complete, expired."""
    pending: bool
    """Complete, and the money is on its way (an asynchronous payment method)."""
    user: UserId | None
    """None: the session names nobody."""
    entitlements: list[dict[str, Any]]
    """In the document's public shape."""
    position: Position
    """A committed head that holds all of it."""


class Confirm:
    """Confirms checkout sessions."""

    def __init__(
        self, transactions: Transactions, source: SessionSource, applier: Applier, relay: Wakeup, clock: Clock
    ) -> None:
        self._transactions = transactions
        self._source = source
        self._applier = applier
        self._relay = relay
        self._clock = clock

    async def confirm(self, holder: KeyHolder, session_id: str, user: UserId | None) -> Confirmation:
        """Apply the session and tell how it stands.

        `user`: whom the app expects to be back. Problems: 404 `unknown_session`, 403 `session_of_another_user`.
        """
        received_at = self._clock.now()
        fetched = await self._source.retrieve_session_with_lines(session_id)
        session = fetched.object
        if session is None or not await self._is_ours(holder, session):
            detail = f"{holder.project} has no checkout session {session_id}"
            raise Problem(HTTPStatus.NOT_FOUND, "unknown_session", detail)
        owner = await self._owner(session)
        if user is not None and owner is not None and owner != user:
            detail = f"{session_id} is not a checkout of {user}; do not show its user's entitlements to them"
            raise Problem(HTTPStatus.FORBIDDEN, "session_of_another_user", detail)
        await self._apply(session, fetched.as_of, Cause(f"confirm:{session_id}", received_at))
        entitlements, position = await self._transactions.run(lambda connection: _standing(connection, holder, owner))
        return Confirmation(session["id"], session["status"], _pending(session), owner, entitlements, position)

    async def _is_ours(self, holder: KeyHolder, session: Mapping[str, Any]) -> bool:
        named = (session.get("metadata") or {}).get("project_id")
        if named:
            return bool(named == holder.project)
        prices = [line["price"]["id"] for line in session["line_items"]["data"] if line.get("price")]

        async def read(connection: AsyncConnection) -> bool:
            parameters = {"project_id": holder.project_id, "prices": prices}
            return bool((await connection.execute(_SOLD_HERE, parameters)).scalar_one())

        return await self._transactions.run(read)

    async def _owner(self, session: Mapping[str, Any]) -> UserId | None:
        named = (session.get("metadata") or {}).get("user_id") or session.get("client_reference_id")
        if named:
            return UserId(named)

        async def read(connection: AsyncConnection) -> UserId | None:
            parameters = {"customer": session.get("customer")}
            found = (await connection.execute(_CUSTOMERS_USER, parameters)).scalar_one_or_none()
            return None if found is None else UserId(found)

        return await self._transactions.run(read)

    async def _apply(self, session: Mapping[str, Any], as_of: Instant, cause: Cause) -> None:
        if session["status"] == "open":
            return
        subscription = session.get("subscription")
        if isinstance(subscription, dict):
            await self._applier.apply_object(ObjectKind.SUBSCRIPTION, subscription, as_of, cause)
        await self._applier.apply_object(ObjectKind.SESSION, session, as_of, cause)
        self._relay.notify()


def _pending(session: Mapping[str, Any]) -> bool:
    if session["status"] != "complete" or session["payment_status"] != "unpaid":
        return False
    intent = session.get("payment_intent")
    return not (isinstance(intent, dict) and intent["status"] in _DEAD_PAYMENT)


async def _standing(
    connection: AsyncConnection, holder: KeyHolder, user: UserId | None
) -> tuple[list[dict[str, Any]], Position]:
    # One statement, so that document and head are of the same moment.
    parameters = {"project_id": holder.project_id, "user_id": user}
    row = (await connection.execute(_STANDING, parameters)).one()
    return row.body or [], Position(row.epoch, row.revision)


_STANDING: Final = text("""
SELECT p.epoch, p.revision, d.body
FROM projects p LEFT JOIN users u ON u.project_id = p.id AND u.user_id = CAST(:user_id AS text)
    LEFT JOIN documents d ON d.user_ref = u.id
WHERE p.id = :project_id
""")

_SOLD_HERE: Final = text("""
SELECT EXISTS (SELECT FROM prices WHERE id = ANY(CAST(:prices AS text[])) AND project_id = :project_id)
""")

_CUSTOMERS_USER: Final = text("SELECT user_id FROM stripe_customers WHERE id = CAST(:customer AS text)")
