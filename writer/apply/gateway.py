"""What applying needs of Stripe's API."""

from dataclasses import dataclass
from typing import Any, Protocol

from common.clock import Instant


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object as Stripe holds it. `as_of`: Stripe's time when the fetch began, in whole seconds.

    `object` is None where Stripe knows no such id. A deleted customer or product is a stub that says `deleted`.
    """

    object: dict[str, Any] | None
    as_of: Instant


class StripeUnavailableError(Exception):
    """Stripe cannot be reached, is overloaded or limits us: the same request may work later.

    `retry_after`: seconds that Stripe asks to wait; None: it said nothing.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StripeRefusedError(Exception):
    """Stripe refuses the request as it is (400, 401, 402, 403): repeating it changes nothing."""


class Gateway(Protocol):
    """Fetches. Each raises only the two errors above; none is called inside a transaction."""

    async def retrieve_subscription(self, id: str) -> Fetched:  # noqa: A002 - Stripe's own word
        """A subscription with all of its items."""
        ...

    async def retrieve_session_with_lines(self, id: str) -> Fetched:  # noqa: A002
        """A session with all of its lines, its payment intent and its subscription expanded."""
        ...

    async def retrieve_invoice(self, id: str) -> Fetched:  # noqa: A002
        """An invoice with its payments."""
        ...

    async def retrieve_customer(self, id: str) -> Fetched:  # noqa: A002
        """A customer."""
        ...

    async def list_refunds(self, payment_intent: str) -> Fetched:
        """All refunds of a payment intent, as a list object."""
        ...

    async def retrieve_refund(self, id: str) -> Fetched:  # noqa: A002
        """A refund."""
        ...

    async def retrieve_dispute(self, id: str) -> Fetched:  # noqa: A002
        """A dispute."""
        ...

    async def retrieve_charge(self, id: str) -> Fetched:  # noqa: A002
        """A charge."""
        ...

    async def retrieve_price(self, id: str) -> Fetched:  # noqa: A002
        """A price with its product expanded."""
        ...

    async def retrieve_product(self, id: str) -> Fetched:  # noqa: A002
        """A product."""
        ...
