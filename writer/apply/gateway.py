"""What applying needs of Stripe's API."""

from typing import Protocol, assert_never

from writer.domain.stripe.kinds import ObjectKind
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
        """An invoice with its payments and all of its lines."""
        ...

    async def invoice_of_payment(self, payment_intent: str) -> str | None:
        """The id of the invoice that the payment is for; None: it is for none."""
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


async def fetch(gateway: Gateway, kind: ObjectKind, object_id: str) -> Fetched:  # noqa: PLR0911 - one for each kind
    """An object of any kind, with all that applying it needs."""
    match kind:
        case ObjectKind.SUBSCRIPTION:
            return await gateway.retrieve_subscription(object_id)
        case ObjectKind.SESSION:
            return await gateway.retrieve_session_with_lines(object_id)
        case ObjectKind.INVOICE:
            return await gateway.retrieve_invoice(object_id)
        case ObjectKind.CUSTOMER:
            return await gateway.retrieve_customer(object_id)
        case ObjectKind.CHARGE:
            return await gateway.retrieve_charge(object_id)
        case ObjectKind.REFUND:
            return await gateway.retrieve_refund(object_id)
        case ObjectKind.DISPUTE:
            return await gateway.retrieve_dispute(object_id)
        case ObjectKind.PRODUCT:
            return await gateway.retrieve_product(object_id)
        case ObjectKind.PRICE:
            return await gateway.retrieve_price(object_id)
        case _:
            assert_never(kind)
