"""A checkout session, and the purchase that its one-time lines make."""

from dataclasses import dataclass
from typing import Final

from common.clock import Instant
from writer.domain.stripe import fields
from writer.domain.stripe.fields import Object, ShapeError

_ENDED: Final = frozenset({"complete", "expired"})


@dataclass(frozen=True, slots=True)
class SessionLine:
    """One line; the one-time ones are what a purchase is made of."""

    id: str
    price_id: str
    product_id: str
    quantity: int
    amount_total: int
    recurring: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A checkout session. Amounts in the currency's smallest unit."""

    id: str
    mode: str
    status: str
    payment_status: str
    customer_id: str | None
    client_reference_id: str | None
    subscription_id: str | None
    payment_intent: str | None
    invoice_id: str | None
    amount_total: int
    currency: str
    created: Instant
    paid_from: Instant | None
    """When its payment intent was made, which is when the customer confirmed; None: the intent was not expanded."""
    livemode: bool
    metadata: dict[str, str]
    lines: tuple[SessionLine, ...] | None
    """None: the object carries no lines, or not all of them; they must be fetched."""

    @property
    def ended(self) -> bool:
        """Whether nobody can pay by it any more."""
        return self.status in _ENDED

    @property
    def one_time_lines(self) -> tuple[SessionLine, ...]:
        """What was bought once. Recurring lines are the subscription's."""
        return tuple(line for line in self.lines or () if not line.recurring)

    @property
    def deciding_prices(self) -> frozenset[str]:
        """The prices that decide whose it is: of what was bought once, as recurring lines are the subscription's."""
        return frozenset(line.price_id for line in self.one_time_lines or self.lines or ())


def needs_lines(source: Object) -> bool:
    """Whether it completed and sold something, which must be known; one that only keeps a card does not sell."""
    return source.get("status") == "complete" and source.get("mode") != "setup"


def parse_session(source: Object) -> Session:
    """Read a session; ShapeError names what is wrong."""
    intent = fields.child(source, "payment_intent")
    return Session(
        id=fields.text(source, "id"),
        mode=fields.text(source, "mode"),
        status=fields.optional_text(source, "status") or "open",
        payment_status=fields.text(source, "payment_status"),
        customer_id=fields.reference(source, "customer"),
        client_reference_id=fields.optional_text(source, "client_reference_id"),
        subscription_id=fields.reference(source, "subscription"),
        payment_intent=fields.reference(source, "payment_intent"),
        invoice_id=fields.reference(source, "invoice"),
        amount_total=fields.whole(source, "amount_total", default=0),
        currency=fields.optional_text(source, "currency") or "",
        created=fields.instant(source, "created"),
        paid_from=fields.optional_instant(intent, "created"),
        livemode=fields.flag(source, "livemode"),
        metadata=fields.metadata(source),
        lines=_lines(source),
    )


def _lines(source: Object) -> tuple[SessionLine, ...] | None:
    listed = fields.child(source, "line_items")
    if not listed or fields.flag(listed, "has_more"):
        return None
    # A line may have no price, and then grants nothing.
    return tuple(_line(row) for row in fields.rows(source, "line_items") if row.get("price") is not None)


def _line(row: Object) -> SessionLine:
    price = fields.child(row, "price")
    product = fields.reference(price, "product")
    if product is None:
        raise ShapeError("line_item.price.product must be an id")
    return SessionLine(
        id=fields.text(row, "id"),
        price_id=fields.text(price, "id"),
        product_id=product,
        quantity=fields.whole(row, "quantity", default=1),
        amount_total=fields.whole(row, "amount_total", default=0),
        recurring=fields.optional_text(price, "type") == "recurring",
    )
