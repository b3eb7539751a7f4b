"""A Stripe account as far as entitlements come of it, read once from its lists. Nothing is written."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from common.identifiers import FeatureCode
from writer.apply.purchase import paid_by
from writer.catalogue import product_features
from writer.domain.stripe import fields
from writer.domain.stripe.fields import ShapeError
from writer.domain.stripe.invoice import Invoice, parse_invoice
from writer.domain.stripe.payment import parse_dispute, parse_refund
from writer.domain.stripe.session import Session, parse_session
from writer.domain.stripe.subscription import Subscription, parse_subscription
from writer.gateway.pages import Json
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.stripe_lists import Listing, StripeLists

_GIVEN_UP: Final = frozenset({"failed", "canceled"})

Told = Callable[[str, int], None]
"""Hears what is being read, and how many there are so far."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product; archived ones too."""

    name: str
    active: bool
    metadata: Mapping[str, str]
    features: Sequence[FeatureCode] = ()
    """Attached to it at Stripe."""


@dataclass(frozen=True, slots=True)
class Price:
    """A price; archived ones too."""

    product_id: str
    active: bool
    metadata: Mapping[str, str]


@dataclass(slots=True)
class Account:
    """What the lists told."""

    products: dict[str, Product] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    customers: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Metadata by id. Deleted ones are on no list."""
    subscriptions: list[Subscription] = field(default_factory=list)
    open_invoices: dict[str, list[Invoice]] = field(default_factory=lambda: defaultdict(list))
    """By subscription."""
    sessions: list[Session] = field(default_factory=list)
    """Complete ones, the newest first, with what paid for them."""
    refunded: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By payment intent; what failed or was cancelled does not count."""
    lost: set[str] = field(default_factory=set)
    """Payment intents with a lost dispute."""
    one_off_invoices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Paid invoices of no subscription and no checkout session, with their prices."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Why, by id."""


async def read(lists: StripeLists, gateway: StripeGateway, told: Told) -> Account:
    """Everything. It raises what the lists raise."""
    account = Account()
    readers: tuple[tuple[Listing, Callable[[Account, Json], None]], ...] = (
        (Listing.PRODUCTS, _product),
        (Listing.PRICES, _price),
        (Listing.CUSTOMERS, _customer),
        (Listing.SUBSCRIPTIONS, _subscription),
        (Listing.SESSIONS, _session),
        (Listing.INVOICES, _invoice),
        (Listing.REFUNDS, _refund),
        (Listing.DISPUTES, _dispute),
    )
    for listing, take in readers:
        count, after, more = 0, None, True
        while more:
            page = await lists.page(listing, after=after)
            for one in page.objects:
                try:
                    take(account, one)
                except ShapeError as error:
                    account.unreadable[one["id"]] = str(error)
            count, after, more = count + len(page.objects), page.last, page.more
            told(listing.value.replace("_", " "), count)
    await _pay(account, gateway)
    invoices = {session.invoice_id for session in account.sessions}
    account.one_off_invoices = {k: v for k, v in account.one_off_invoices.items() if k not in invoices}
    return account


async def _pay(account: Account, gateway: StripeGateway) -> None:
    """A session that began a subscription is paid by its invoice, and only that names the payment intent."""
    for at, session in enumerate(account.sessions):
        if session.payment_intent is None and session.invoice_id is not None and session.one_time_lines:
            fetched = await gateway.retrieve_invoice(session.invoice_id)
            if fetched.object is not None:
                account.sessions[at] = paid_by(session, parse_invoice(fetched.object).payment_intent)


def _product(account: Account, one: Json) -> None:
    name = fields.optional_text(one, "name") or one["id"]
    features = product_features.attached(one) or ()
    account.products[one["id"]] = Product(name, bool(one.get("active", True)), fields.metadata(one), features)


def _price(account: Account, one: Json) -> None:
    product = fields.reference(one, "product")
    if product is None:
        raise ShapeError("price.product must be an id")
    account.prices[one["id"]] = Price(product, bool(one.get("active", True)), fields.metadata(one))


def _customer(account: Account, one: Json) -> None:
    account.customers[one["id"]] = fields.metadata(one)


def _subscription(account: Account, one: Json) -> None:
    account.subscriptions.append(parse_subscription(one))


def _session(account: Account, one: Json) -> None:
    account.sessions.append(parse_session(one))


def _invoice(account: Account, one: Json) -> None:
    invoice = parse_invoice(one)
    if invoice.subscription_id is not None:
        if invoice.status == "open":
            account.open_invoices[invoice.subscription_id].append(invoice)
    elif invoice.status == "paid" and (prices := tuple(filter(None, map(_price_of, fields.rows(one, "lines"))))):
        account.one_off_invoices[invoice.id] = prices


def _price_of(line: Mapping[str, Any]) -> str | None:
    details = fields.child(fields.child(line, "pricing"), "price_details")
    return fields.reference(details, "price") or fields.reference(line, "price")


def _refund(account: Account, one: Json) -> None:
    refund = parse_refund(one)
    if refund.payment_intent is not None and refund.status not in _GIVEN_UP:
        account.refunded[refund.payment_intent] += refund.amount


def _dispute(account: Account, one: Json) -> None:
    dispute = parse_dispute(one)
    if dispute.payment_intent is not None and dispute.status == "lost":
        account.lost.add(dispute.payment_intent)
