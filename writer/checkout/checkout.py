"""Checkout: from an app's order to the page where the customer pays; once, however often it is clicked.

No transaction is open while Stripe is spoken to, so no lock can hold a second click back. Instead:

1. Under the user's lock it is read what is known: the session of this idempotency key, a subscription that holds the
   product, an open session of an equal request, and, if there is none, how many equal requests have come to their end.
2. Stripe is asked to open a session under a key made from the request and that count. Two clicks at once, on two
   writers, read the same count and so send the same key: Stripe opens one session and tells both of it.
3. Under the lock again the session is recorded. Where the app's idempotency key was taken in between, the recorded
   session wins, and ours is expired at Stripe.

A writer that dies between 2 and 3 leaves a session that nobody knows; the retry sends the same key and gets it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import SECOND, Clock, Instant, from_seconds
from common.problems import Problem, bad_request
from writer.checkout import requests
from writer.checkout.customers import Customers
from writer.checkout.order import (
    Order,
    refuses_quantity,
    session_parameters,
    stripe_key,
    without_quantity,
)
from writer.checkout.portal import Portal
from writer.checkout.price_check import PriceCheck, SoldPrice
from writer.checkout.requests import Recorded, Session
from writer.checkout.rivals import HELD_STATES, Held, Rivals
from writer.checkout.rivals import Sessions as RivalSessions
from writer.db.transaction import Transactions
from writer.gateway.errors import StripeRefusedError
from writer.recompute import UserKey, lock_users

_ROUNDS: Final = 5
_TOO_LATE: Final = 60 * SECOND
"""A session with less time left is not handed out: nobody types a card number that fast."""


class Sessions(RivalSessions, Protocol):
    """What is asked of Stripe."""

    async def create_checkout_session(self, params: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """A new checkout session, or the one that the same key made within a day."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    """A session of an equal request, to be looked at before it is given again."""

    recorded: Recorded
    keyed: bool


@dataclass(frozen=True, slots=True)
class _Fresh:
    """Nothing is known; `attempt` equal requests have come to their end."""

    attempt: int


class Checkout:
    """Opens checkout sessions."""

    def __init__(
        self,
        transactions: Transactions,
        sessions: Sessions,
        prices: PriceCheck,
        customers: Customers,
        portal: Portal,
        clock: Clock,
    ) -> None:
        self._transactions = transactions
        self._sessions = sessions
        self._prices = prices
        self._customers = customers
        self._portal = portal
        self._rivals = Rivals(transactions, sessions, clock)
        self._clock = clock

    async def create(self, order: Order) -> Session:
        """The session to send the customer to.

        Problems: those of `PriceCheck.sold`; 400 `trial_not_possible`, `quantity_not_possible`;
        409 `already_subscribed` with `portal_url`; 422 `idempotency_key_reused`; 409 `checkout_contended`.
        Stripe's errors pass through.
        """
        price = await self._prices.sold(order.holder, order.price_id)
        if order.trial_days is not None and not price.recurring:
            raise bad_request("trial_not_possible", "trial_days is for recurring prices; this one is paid once")
        for _ in range(_ROUNDS):
            match await self._transactions.run(lambda connection: self._look(connection, order, price)):
                case Held() as held:
                    raise await self._already(order, held)
                case _Known(recorded, keyed):
                    session = await self._again(order, recorded, keyed=keyed)
                case _Fresh(attempt):
                    session = await self._open(order, price, attempt)
            if session is not None:
                return session
        raise Problem(
            HTTPStatus.CONFLICT, "checkout_contended", "other checkouts of this user kept coming in between; try again"
        )

    async def _look(self, connection: AsyncConnection, order: Order, price: SoldPrice) -> _Known | Held | _Fresh:
        key = UserKey(order.holder.project_id, order.user)
        user_ref = (await lock_users(connection, [key]))[key]
        if order.idempotency_key is not None:
            recorded = await requests.with_key(connection, order.holder.project_id, order.idempotency_key)
            if recorded is not None:
                _check_same(order, recorded)
                return _Known(recorded, keyed=True)
        if price.recurring and (held := await _held(connection, key, price)) is not None:
            return held
        now = self._clock.now()
        if order.idempotency_key is None:
            recorded = await requests.open_like(connection, user_ref, order.fingerprint, Instant(now + _TOO_LATE))
            if recorded is not None:
                return _Known(recorded, keyed=False)
        return _Fresh(await requests.closed_like(connection, user_ref, order.fingerprint, Instant(now + _TOO_LATE)))

    async def _again(self, order: Order, recorded: Recorded, *, keyed: bool) -> Session | None:
        """The recorded session if it can be given again; None where it came to its end, which is then recorded.

        Stripe is asked, because its events may be on their way: a session that was just paid must not lead to a
        second one of the same product.
        """
        session = (await self._sessions.retrieve_session(recorded.session.id)).object
        if session is not None and session["status"] == "open":
            return recorded.session
        held = await self._rivals.bought(recorded.session.id, session)
        if session is None or session["status"] != "complete":
            return None
        if keyed:
            return recorded.session
        if held is not None:
            raise await self._already(order, held)
        return None

    async def _open(self, order: Order, price: SoldPrice, attempt: int) -> Session | None:
        """A new session, recorded; None where another round is needed."""
        customer = await self._customers.ensure(order.holder, order.user, order.email)
        parameters = session_parameters(order, price, customer)
        try:
            made = await self._made(order, parameters, attempt)
        except StripeRefusedError as error:
            if error.code == "resource_missing" and error.param == "customer":
                await self._customers.retire(customer)
                return None
            if error.param is not None and error.param.startswith("line_items"):
                # The mirror took it for one that may be sold; archived a moment ago, it is refused by that name.
                await self._prices.at_stripe(order.holder, order.price_id)
            raise
        session = Session(made["id"], made["url"], from_seconds(made["expires_at"]))
        winner = await self._record(order, session)
        if winner.session.id != session.id:
            await self._rivals.expire(session.id)
            _check_same(order, winner)
            return winner.session
        usable = session.expires_at > self._clock.now() + _TOO_LATE
        if usable and price.recurring:
            usable = await self._is_only_one(order, price, customer, session.id)
        if not usable:  # Stripe repeated the answer of a day ago
            await self._rivals.close(session.id, complete=False)
            return None
        return session

    async def _is_only_one(self, order: Order, price: SoldPrice, customer: str, session_id: str) -> bool:
        """Leave one open session for a subscription's product, the newest; False where ours is not open at all.

        With the monthly plan open in one tab and the yearly one in another, a customer could pay for both.
        """
        settled = await self._rivals.settle(customer, price.product_id, session_id)
        key = UserKey(order.holder.project_id, order.user)
        # Once more: the event of a rival that was paid since we looked may have been applied before it was asked for.
        held = settled.held or await self._transactions.run(lambda connection: _held(connection, key, price))
        if held is not None:
            await self._rivals.expire(session_id)
            raise await self._already(order, held)
        return settled.is_open

    async def _made(self, order: Order, parameters: dict[str, Any], attempt: int) -> dict[str, Any]:
        try:
            return await self._sessions.create_checkout_session(parameters, stripe_key(order, parameters, attempt))
        except StripeRefusedError as error:
            # Only Stripe knows for sure that a price is metered: that is paid by use, and has no quantity.
            if not refuses_quantity(error.param, error.message):
                raise
            if order.quantity != 1:
                raise bad_request(
                    "quantity_not_possible", f"{order.price_id} is paid by use: leave the quantity out"
                ) from error
        bare = without_quantity(parameters)
        return await self._sessions.create_checkout_session(bare, stripe_key(order, bare, attempt))

    async def _record(self, order: Order, session: Session) -> Recorded:
        key = UserKey(order.holder.project_id, order.user)

        async def write(connection: AsyncConnection) -> Recorded:
            user_ref = (await lock_users(connection, [key]))[key]
            await requests.add(
                connection, session, user_ref, order.holder.project_id, order.fingerprint, order.idempotency_key
            )
            if order.idempotency_key is not None:
                recorded = await requests.with_key(connection, order.holder.project_id, order.idempotency_key)
                if recorded is not None:
                    return recorded
            return Recorded(session, order.fingerprint)

        return await self._transactions.run(write)

    async def _already(self, order: Order, held: Held) -> Problem:
        portal_url = await self._portal.url_if_possible(order.holder, held.customer, order.cancel_url)
        return Problem(
            HTTPStatus.CONFLICT,
            "already_subscribed",
            f"{order.user} has this product by {held.subscription}; send them to portal_url to change it",
            subscription_id=held.subscription,
            portal_url=portal_url,
        )


def _check_same(order: Order, recorded: Recorded) -> None:
    if recorded.fingerprint != order.fingerprint:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "this Idempotency-Key was sent before with another body; use a new key for each checkout",
        )


async def _held(connection: AsyncConnection, key: UserKey, price: SoldPrice) -> Held | None:
    parameters = {
        "project_id": key.project_id,
        "user_id": key.user_id,
        "product_id": price.product_id,
        "held": list(HELD_STATES),
    }
    row = (await connection.execute(_SUBSCRIPTION, parameters)).one_or_none()
    return None if row is None else Held(row.id, row.customer_id)


_SUBSCRIPTION: Final = text("""
SELECT s.id, s.customer_id FROM users u JOIN subscription_items i ON i.user_ref = u.id
JOIN subscriptions s ON s.id = i.subscription_id
WHERE u.project_id = :project_id AND u.user_id = :user_id AND i.product_id = :product_id AND s.status = ANY(:held)
ORDER BY s.started_at, s.id LIMIT 1
""")
