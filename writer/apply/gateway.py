"""What applying needs of Stripe's API."""

from typing import Protocol

from writer.gateway.stripe_gateway import Fetched


class Gateway(Protocol):
    """Fetches. Each raises only the errors of `writer.gateway.errors`; none is called inside a transaction."""

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

    async def list_open_invoices(self, subscription: str) -> Fetched:
        """All open invoices of a subscription, as a list object."""
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
        """A product with its features, as `writer.gateway.product_features` puts them there."""
        ...
