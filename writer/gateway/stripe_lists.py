"""Stripe's lists as comparing needs them: whole objects by the hundred, a page at a time, from the newest on."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from common.clock import SECOND, Instant
from writer.gateway.pages import Json, Pages, escaped, lines_of
from writer.gateway.product_features import ProductFeatures
from writer.gateway.rate_limit import Urgency
from writer.gateway.transport import StripeTransport

_PAGE: Final = 100


class Listing(StrEnum):
    """What is listed. Deleted objects are on no list."""

    ACTIVE_PRODUCTS = "active_products"
    ACTIVE_PRICES = "active_prices"
    """Without archived ones, and without the many that a checkout made for itself."""
    PRODUCTS = "products"
    """Each product of either list costs a request more: its features are a list of their own."""
    PRICES = "prices"
    CUSTOMERS = "customers"
    OPEN_SUBSCRIPTIONS = "open_subscriptions"
    """Without those that are canceled or never began. Each brings its customer."""
    SUBSCRIPTIONS = "subscriptions"
    """In any state; each brings its customer."""
    OPEN_INVOICES = "open_invoices"
    INVOICES = "invoices"
    """Each with its payments."""
    SESSIONS = "sessions"
    """Complete checkout sessions with their lines and payment intents."""
    REFUNDS = "refunds"
    DISPUTES = "disputes"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list; `as_of` is Stripe's time when reading it began, in whole seconds."""

    objects: tuple[Json, ...]
    as_of: Instant
    more: bool

    @property
    def last(self) -> str | None:
        """Behind which object the next page begins."""
        return self.objects[-1]["id"] if self.objects else None


class StripeLists:
    """Lists over a transport. Raises StripeUnavailableError and StripeRefusedError only."""

    def __init__(self, transport: StripeTransport, urgency: Urgency = Urgency.BACKGROUND) -> None:
        self._transport = transport
        self._urgency = urgency
        self._pages = Pages(transport, urgency)
        self._product_features = ProductFeatures(self._pages)

    async def page(self, listing: Listing, *, since: Instant | None = None, after: str | None = None) -> Page:
        """Up to a hundred objects behind `after`; with `since` only what was created then or later."""
        path, fixed = _LISTS[listing]
        params: dict[str, Any] = {**fixed, "limit": _PAGE}
        if since is not None:
            params["created"] = {"gte": since // SECOND}
        if after is not None:
            params["starting_after"] = after
        reply = await self._transport.call("get", path, params, self._urgency)
        objects: list[Json] = reply.body["data"]
        for one in objects:
            await self._fill(one)
        return Page(tuple(objects), reply.as_of, bool(reply.body["has_more"]) and bool(objects))

    async def _fill(self, one: Json) -> None:
        """Bring the rest of a list inside an object; few have more than a list shows of them. Products show nothing."""
        if one["object"] == "subscription" and one["items"]["has_more"]:
            await self._pages.fill(one["items"], "/v1/subscription_items", {"subscription": one["id"]})
        elif one["object"] == "checkout.session":
            await self._pages.fill(lines_of(one), f"/v1/checkout/sessions/{escaped(one['id'])}/line_items", {})
        elif one["object"] == "invoice":
            await self._pages.fill_lines(one)
        elif one["object"] == "product":
            await self._product_features.fill(one)


_CUSTOMER: Final = {"expand": ["data.customer"]}

_LISTS: Final[Mapping[Listing, tuple[str, Mapping[str, Any]]]] = {
    Listing.ACTIVE_PRODUCTS: ("/v1/products", {"active": "true"}),
    Listing.ACTIVE_PRICES: ("/v1/prices", {"active": "true"}),
    Listing.PRODUCTS: ("/v1/products", {}),
    Listing.PRICES: ("/v1/prices", {}),
    Listing.CUSTOMERS: ("/v1/customers", {}),
    Listing.OPEN_SUBSCRIPTIONS: ("/v1/subscriptions", _CUSTOMER),
    Listing.SUBSCRIPTIONS: ("/v1/subscriptions", {"status": "all", **_CUSTOMER}),
    Listing.OPEN_INVOICES: ("/v1/invoices", {"status": "open"}),
    Listing.INVOICES: ("/v1/invoices", {"expand": ["data.payments"]}),
    Listing.SESSIONS: (
        "/v1/checkout/sessions",
        {"status": "complete", "expand": ["data.line_items", "data.payment_intent"]},
    ),
    Listing.REFUNDS: ("/v1/refunds", {}),
    Listing.DISPUTES: ("/v1/disputes", {}),
}
