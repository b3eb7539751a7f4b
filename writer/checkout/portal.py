"""Stripe's billing portal, as each project is configured, for the user's own customer."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import UserId
from common.problems import Problem
from writer.auth import KeyHolder
from writer.checkout.customers import Customers
from writer.db.transaction import Transactions
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError

_log = logging.getLogger(__name__)


class PortalSessions(Protocol):
    """What is asked of Stripe."""

    async def create_portal_session(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """A new session of the billing portal."""
        ...


class Portal:
    """Opens portal sessions."""

    def __init__(self, transactions: Transactions, sessions: PortalSessions, customers: Customers) -> None:
        self._transactions = transactions
        self._sessions = sessions
        self._customers = customers

    async def open(self, holder: KeyHolder, user: UserId, return_url: str) -> str:
        """The URL of a portal session; it is good for a few minutes.

        Problem 404 `no_customer`; 409 `shared_customer` where it would show somebody else's plans too.
        """
        customer = await self._customers.find(holder, user)
        if customer is None:
            raise _no_customer(user)
        try:
            return await self._url(holder, customer, return_url)
        except StripeRefusedError as error:
            if error.code == "resource_missing" and error.param == "customer":
                raise _no_customer(user) from error
            raise

    async def url_if_possible(self, holder: KeyHolder, customer: str, return_url: str) -> str | None:
        """The same for a known customer; None where there is none to be had."""
        try:
            return await self._url(holder, customer, return_url)
        except (StripeUnavailableError, StripeRefusedError, Problem) as error:
            _log.warning("no portal session could be opened customer=%s: %s", customer, error)
            return None

    async def _url(self, holder: KeyHolder, customer: str, return_url: str) -> str:
        async def read(connection: AsyncConnection) -> Row[Any]:
            return (await connection.execute(_PORTAL, {"id": holder.project_id, "customer": customer})).one()

        portal = await self._transactions.run(read)
        if portal.is_shared:
            raise _shared_customer(customer)
        named = {} if portal.configuration is None else {"configuration": portal.configuration}
        session = await self._sessions.create_portal_session({"customer": customer, "return_url": return_url, **named})
        return str(session["url"])


def _no_customer(user: UserId) -> Problem:
    detail = f"{user} has no Stripe customer in this project: they never came to a checkout"
    return Problem(HTTPStatus.NOT_FOUND, "no_customer", detail)


def _shared_customer(customer: str) -> Problem:
    # The app that asks may tell its own plans, and nothing of others'.
    detail = (
        f"the Stripe customer {customer} pays for more than this user's plans of this project, and its portal would "
        "show, and cancel, all of them: an operator can cancel in Stripe's dashboard, or move what is not this "
        "project's to a customer of its own"
    )
    return Problem(HTTPStatus.CONFLICT, "shared_customer", detail)


_PORTAL: Final = text("""
SELECT p.portal_configuration AS configuration, EXISTS (
    SELECT FROM subscriptions s JOIN subscription_items i ON i.subscription_id = s.id
    JOIN stripe_customers c ON c.id = s.customer_id
    WHERE s.customer_id = :customer AND s.status NOT IN ('canceled', 'incomplete_expired')
        AND i.user_ref IS DISTINCT FROM c.user_ref) AS is_shared
FROM projects p WHERE p.id = :id
""")
