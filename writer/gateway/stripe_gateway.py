"""The only door to Stripe: objects fetched whole as plain data, and what checkout and portal write.

The rate limit, repeated tries and errors are `writer.gateway`'s; here stand Stripe's paths, expansions and pages.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from writer.domain.stripe import fields
from writer.gateway.errors import StripeMissingError, StripeRefusedError, StripeUnavailableError
from writer.gateway.pages import Fetched, Json, Pages, escaped, lines_of
from writer.gateway.product_features import ProductFeatures
from writer.gateway.rate_limit import Urgency
from writer.gateway.transport import StripeTransport

__all__ = ["Fetched", "StripeGateway", "StripeMissingError", "StripeRefusedError", "StripeUnavailableError"]

_EXPANDED_SESSION: Final = {"expand": ["line_items", "payment_intent", "subscription"]}


class StripeGateway:
    """Stripe's API as this service uses it. Every method raises StripeUnavailableError and StripeRefusedError only.

    Several gateways may share a transport and its rate limit: `urgency` says whose turn comes first.
    """

    def __init__(self, transport: StripeTransport, urgency: Urgency = Urgency.BACKGROUND) -> None:
        self._transport = transport
        self._urgency = urgency
        self._pages = Pages(transport, urgency)
        self._product_features = ProductFeatures(self._pages)

    async def retrieve_subscription(self, id: str) -> Fetched:  # noqa: A002 - Stripe's word
        """A subscription with all of its items."""
        return await self._whole_subscription(await self._retrieve("/v1/subscriptions", id))

    async def retrieve_session_with_lines(self, id: str) -> Fetched:  # noqa: A002
        """A checkout session with all lines and their prices, its payment intent, and its subscription with items."""
        fetched = await self._retrieve("/v1/checkout/sessions", id, _EXPANDED_SESSION)
        session = fetched.object
        if session is not None:
            await self._pages.fill(lines_of(session), f"/v1/checkout/sessions/{escaped(id)}/line_items", {})
            if isinstance(session.get("subscription"), dict):
                await self._fill_items(session["subscription"])
        return fetched

    async def retrieve_session(self, id: str) -> Fetched:  # noqa: A002
        """A checkout session with its subscription, without lines."""
        return await self._retrieve("/v1/checkout/sessions", id, {"expand": ["subscription"]})

    async def retrieve_invoice(self, id: str) -> Fetched:  # noqa: A002
        """An invoice with its payments and all of its lines."""
        fetched = await self._retrieve("/v1/invoices", id, {"expand": ["payments"]})
        if fetched.object is not None:
            await self._pages.fill_lines(fetched.object)
        return fetched

    async def invoice_of_payment(self, payment_intent: str) -> str | None:
        """The id of the invoice that the payment is for; None: it is for none."""
        params = {"payment": {"type": "payment_intent", "payment_intent": payment_intent}}
        paid = _data(await self._pages.whole("/v1/invoice_payments", params))
        return next((fields.reference(one, "invoice") for one in paid), None)

    async def retrieve_customer(self, id: str) -> Fetched:  # noqa: A002
        """A customer."""
        return await self._retrieve("/v1/customers", id)

    async def retrieve_refund(self, id: str) -> Fetched:  # noqa: A002
        """A refund."""
        return await self._retrieve("/v1/refunds", id)

    async def retrieve_dispute(self, id: str) -> Fetched:  # noqa: A002
        """A dispute."""
        return await self._retrieve("/v1/disputes", id)

    async def retrieve_charge(self, id: str) -> Fetched:  # noqa: A002
        """A charge."""
        return await self._retrieve("/v1/charges", id)

    async def retrieve_price(self, id: str) -> Fetched:  # noqa: A002
        """A price with its product."""
        return await self._retrieve("/v1/prices", id, {"expand": ["product"]})

    async def retrieve_product(self, id: str) -> Fetched:  # noqa: A002
        """A product with its features, where Stripe tells them."""
        return await self._with_features(await self._retrieve("/v1/products", id))

    async def list_refunds(self, payment_intent: str) -> Fetched:
        """All refunds of a payment intent, as one list object."""
        return await self._pages.whole("/v1/refunds", {"payment_intent": payment_intent})

    async def list_open_invoices(self, subscription: str) -> Fetched:
        """All open invoices of a subscription, as one list object."""
        return await self._pages.whole("/v1/invoices", {"subscription": subscription, "status": "open"})

    async def list_open_sessions(self, customer: str) -> list[Json]:
        """All checkout sessions of a customer that can still be paid."""
        found = await self._pages.whole("/v1/checkout/sessions", {"customer": customer, "status": "open"})
        return _data(found)

    async def list_portal_configurations(self) -> list[Json]:
        """All active configurations of the billing portal."""
        return _data(await self._pages.whole("/v1/billing_portal/configurations", {"active": "true"}))

    async def products(self) -> AsyncIterator[Fetched]:
        """Every product, also archived ones, each with its features, where Stripe tells them."""
        async for fetched in self._pages.each("/v1/products", {}):
            yield await self._with_features(fetched)

    def prices(self) -> AsyncIterator[Fetched]:
        """Every price, also archived ones; its product is an id."""
        return self._pages.each("/v1/prices", {})

    async def create_customer(self, params: Mapping[str, Any], idempotency_key: str) -> Json:
        """A new customer, or the one that the same key made within a day."""
        return await self._post("/v1/customers", params, idempotency_key)

    async def update_customer(self, id: str, params: Mapping[str, Any]) -> Json:  # noqa: A002
        """The customer as changed."""
        return await self._post(f"/v1/customers/{escaped(id)}", params)

    async def create_checkout_session(self, params: Mapping[str, Any], idempotency_key: str) -> Json:
        """A new checkout session, or the one that the same key made within a day."""
        return await self._post("/v1/checkout/sessions", params, idempotency_key)

    async def expire_checkout_session(self, id: str) -> Json:  # noqa: A002
        """The session, which nobody can pay any more; StripeRefusedError where it is not open."""
        return await self._post(f"/v1/checkout/sessions/{escaped(id)}/expire", {})

    async def create_portal_session(self, params: Mapping[str, Any]) -> Json:
        """A new session of the billing portal."""
        return await self._post("/v1/billing_portal/sessions", params)

    async def _retrieve(self, folder: str, id: str, params: Mapping[str, Any] | None = None) -> Fetched:  # noqa: A002
        return await self._pages.retrieve(f"{folder}/{escaped(id)}", params or {})

    async def _post(self, path: str, params: Mapping[str, Any], idempotency_key: str | None = None) -> Json:
        return (await self._transport.call("post", path, params, self._urgency, idempotency_key)).body

    async def _with_features(self, fetched: Fetched) -> Fetched:
        # Read after the product itself: all of it is at least as new as `as_of` says.
        if fetched.object is not None:
            await self._product_features.fill(fetched.object)
        return fetched

    async def _whole_subscription(self, fetched: Fetched) -> Fetched:
        if fetched.object is not None:
            await self._fill_items(fetched.object)
        return fetched

    async def _fill_items(self, subscription: Json) -> None:
        if "items" in subscription:
            await self._pages.fill(
                subscription["items"], "/v1/subscription_items", {"subscription": subscription["id"]}
            )


def _data(fetched: Fetched) -> list[Json]:
    return [] if fetched.object is None else list(fetched.object["data"])
