"""Rivals: a user's other checkouts of one subscription's product, of which only one may be paid.

Events of a payment arrive late, and another tab may be paying at this very moment. So Stripe is asked what became of
every checkout that is not known to have ended: what is still open is expired, and what was paid is the subscription.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from common.clock import Clock
from writer.checkout import requests
from writer.db.transaction import Transactions
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError
from writer.gateway.stripe_gateway import Fetched

_log = logging.getLogger(__name__)

HELD_STATES: Final = ("trialing", "active", "past_due", "unpaid", "paused")
"""States in which a subscription holds its product: it grants, or will again once it is paid or resumed."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """A subscription that holds the product already."""

    subscription: str
    customer: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of a new session among its rivals."""

    is_open: bool
    """Whether the session itself can be paid: Stripe may have repeated an old answer, or a newer one expired it."""
    held: Held | None = None
    """What a rival bought, of which no event has told yet: the session must not be paid too."""


class Sessions(Protocol):
    """What is asked of Stripe."""

    async def retrieve_session(self, id: str) -> Fetched:  # noqa: A002 - Stripe's word
        """A checkout session with its subscription."""
        ...

    async def list_open_sessions(self, customer: str) -> list[dict[str, Any]]:
        """All checkout sessions of a customer that can still be paid."""
        ...

    async def expire_checkout_session(self, id: str) -> dict[str, Any]:  # noqa: A002
        """The session, which nobody can pay any more."""
        ...


class Rivals:
    """Ends checkouts, and leaves one of each subscription's product: the newest."""

    def __init__(self, transactions: Transactions, sessions: Sessions, clock: Clock) -> None:
        self._transactions = transactions
        self._sessions = sessions
        self._clock = clock

    async def settle(self, customer: str, product_id: str, session_id: str) -> Settled:
        """Expire what the same user opened earlier for the product, and tell what was paid meanwhile.

        While Stripe does not answer, the session stands: a payer is not sent away for what may be.
        """
        try:
            listed = {one["id"]: one for one in await self._sessions.list_open_sessions(customer)}
            now = self._clock.now()
            earlier = await self._transactions.run(
                lambda connection: requests.earlier(connection, session_id, list(listed), now)
            )
            for rival in earlier:
                held = await self._end(rival, listed.get(rival), product_id)
                if held is not None:
                    return Settled(session_id in listed, held)
        except StripeUnavailableError as error:
            _log.warning("older checkout sessions were left open customer=%s: %s", customer, error.reason)
            return Settled(is_open=True)
        return Settled(session_id in listed)

    async def bought(self, session_id: str, session: Json | None) -> Held | None:
        """The subscription that an ended session bought; else record that it ended. None: Stripe has forgotten it.

        What was bought is recorded by its event alone: until then each click has to ask again.
        """
        complete = session is not None and session["status"] == "complete"
        subscription = session.get("subscription") if complete and session is not None else None
        if isinstance(subscription, dict) and subscription["status"] in HELD_STATES:
            return Held(subscription["id"], subscription["customer"])
        await self.close(session_id, complete=complete)
        return None

    async def expire(self, session_id: str) -> bool:
        """Let nobody pay a session any more; False where it was paid or expired in the meantime."""
        try:
            await self._sessions.expire_checkout_session(session_id)
        except StripeRefusedError:
            return False
        await self.close(session_id, complete=False)
        return True

    async def close(self, session_id: str, *, complete: bool) -> None:
        """Record that a session cannot be paid any more."""
        now = self._clock.now()
        await self._transactions.run(
            lambda connection: requests.close(connection, session_id, complete=complete, now=now)
        )

    async def _end(self, session_id: str, listed: Json | None, product_id: str) -> Held | None:
        """End a rival of this product, if it is one; what it bought, if it was paid before that."""
        rival = listed or (await self._sessions.retrieve_session(session_id)).object
        if rival is not None and not _sells(rival, product_id):
            return None
        if rival is not None and rival["status"] == "open":
            if await self.expire(session_id):
                return None
            rival = (await self._sessions.retrieve_session(session_id)).object
        return await self.bought(session_id, rival)


def _sells(session: Json, product_id: str) -> bool:
    return session["mode"] == "subscription" and (session["metadata"] or {}).get("product_id") == product_id
