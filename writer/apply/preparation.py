"""Preparation: a Stripe object becomes a change. Whatever else it needs of Stripe is fetched here, before any lock."""

import logging
from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol, assert_never

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Instant
from writer.apply import customer, invoice, objects, payment, purchase, subscription
from writer.apply.assignment import Assignment
from writer.apply.change import Change, Written, nothing
from writer.apply.gateway import Gateway
from writer.apply.learning import Learning
from writer.apply.mirror import CatalogueMirror
from writer.db.direct import Statement
from writer.domain.sources import SubscriptionStatus
from writer.domain.stripe import fields
from writer.domain.stripe.customer import parse_customer
from writer.domain.stripe.fields import Object
from writer.domain.stripe.invoice import parse_invoice
from writer.domain.stripe.kinds import ObjectKind
from writer.domain.stripe.payment import Dispute, Refund, parse_dispute, parse_refund
from writer.domain.stripe.session import Session, parse_session
from writer.domain.stripe.subscription import parse_subscription
from writer.domain.stripe.watermark import NOTHING_HELD, Verdict
from writer.gateway.errors import StripeRefusedError
from writer.outbox import Cause, Revision
from writer.recompute import Recompute

_log = logging.getLogger(__name__)


class Linked(Protocol):
    """Applies other objects that the one at hand leads to: the applier itself."""

    async def apply_object(
        self,
        kind: ObjectKind,
        object: Mapping[str, Any],  # noqa: A002 - Stripe's own word
        as_of: Instant,
        cause: Cause,
    ) -> list[Revision]:
        """Apply an object that came along with a fetch as of `as_of`."""
        ...

    async def refresh(self, kind: ObjectKind, object_id: str, cause: Cause) -> list[Revision]:
        """Fetch and apply an object."""
        ...


class Preparation:
    """Prepares changes of every kind."""

    def __init__(
        self,
        engine: AsyncEngine,
        gateway: Gateway,
        mirror: CatalogueMirror,
        recompute: Recompute,
        assignment: Assignment,
        linked: Linked,
    ) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._gateway = gateway
        self._mirror = mirror
        self._recompute = recompute
        self._assignment = assignment
        self._linked = linked
        self._learning = Learning(linked.refresh)

    async def prepare(  # noqa: PLR0911 - one way for each kind
        self, kind: ObjectKind, source: Object, as_of: Instant | None, cause: Cause
    ) -> Change:
        """`source` as a change; `as_of`: when it was fetched, None for an event's payload. ShapeError: unreadable."""
        match kind:
            case ObjectKind.SUBSCRIPTION:
                return await self._subscription(source, cause)
            case ObjectKind.SESSION:
                return await self._session(source, as_of, cause)
            case ObjectKind.INVOICE:
                return invoice.change(parse_invoice(source), self._recompute, cause)
            case ObjectKind.REFUND:
                return await self._moved(parse_refund(source), cause)
            case ObjectKind.DISPUTE:
                return await self._moved(parse_dispute(source), cause)
            case ObjectKind.CHARGE:
                return self._charge(source, cause)
            case ObjectKind.CUSTOMER:
                return self._customer(source, cause)
            case ObjectKind.PRODUCT:
                return self._product(source, cause)
            case ObjectKind.PRICE:
                return await self._price(source, as_of, cause)
            case _:
                assert_never(kind)

    async def _subscription(self, source: Object, cause: Cause) -> Change:
        parsed = parse_subscription(source)
        await self._know_prices({item.price_id for item in parsed.items}, cause)
        if parsed.status is SubscriptionStatus.PAST_DUE:
            await self._know_open_invoices(parsed.id, fields.reference(source, "latest_invoice"), cause)
        return subscription.change(parsed, self._recompute, cause)

    async def _session(self, source: Object, as_of: Instant | None, cause: Cause) -> Change:
        session = parse_session(source)
        embedded = fields.child(source, "subscription")
        if session.status == "complete":
            await self._know_prices({line.price_id for line in session.lines or ()}, cause)
            if embedded and as_of is not None:
                await self._know_subscription(embedded, as_of, cause)
            session = await self._with_payment(session)

        async def write(connection: AsyncConnection) -> Written:
            return await purchase.write(connection, session, self._recompute, cause)

        async def follow() -> list[Revision]:
            return await self._assignment.of_customer(session.customer_id, session.subscription_id, cause)

        return Change(purchase.links(session), write, follow if session.status == "complete" else None)

    async def _with_payment(self, session: Session) -> Session:
        if session.payment_intent or session.invoice_id is None or not session.one_time_lines:
            return session
        fetched = await self._gateway.retrieve_invoice(session.invoice_id)
        return (
            session
            if fetched.object is None
            else purchase.paid_by(session, parse_invoice(fetched.object).payment_intent)
        )

    async def _moved(self, moved: Refund | Dispute, cause: Cause) -> Change:
        intent = moved.payment_intent
        if intent is None or not await self._unknown(_KNOWN_PAYMENTS, {intent}):
            return payment.change(moved, self._recompute, cause)

        async def follow() -> list[Revision]:
            # For figures only: whatever becomes of it, what was bought is revoked or restored by then.
            try:
                invoice_id = await self._gateway.invoice_of_payment(intent)
            except StripeRefusedError as error:
                _log.warning("not known which invoice was paid payment_intent=%s reason=%r", intent, str(error))
                return []
            if invoice_id is not None:
                async with self._engine.connect() as connection:
                    await invoice.name_payment(connection, intent, invoice_id)
            return []

        return payment.change(moved, self._recompute, cause, follow)

    def _charge(self, source: Object, cause: Cause) -> Change:
        """Not every API version sends refunds with a charge or as events of their own: all are listed."""
        intent = fields.reference(source, "payment_intent")
        if intent is None:
            return nothing("it has no payment intent, which every checkout makes")

        async def write(_: AsyncConnection) -> Written:
            return Written()

        async def follow() -> list[Revision]:
            fetched = await self._gateway.list_refunds(intent)
            revisions = []
            for refund in (fetched.object or {}).get("data", []):
                revisions += await self._linked.apply_object(ObjectKind.REFUND, refund, fetched.as_of, cause)
            return revisions

        return Change(frozenset(), write, follow)

    def _customer(self, source: Object, cause: Cause) -> Change:
        parsed = parse_customer(source)

        async def write(connection: AsyncConnection) -> Written:
            return await customer.write(connection, parsed)

        async def follow() -> list[Revision]:
            return await self._assignment.of_customer(parsed.id, None, cause)

        return Change(frozenset(), write, follow)

    def _product(self, source: Object, cause: Cause) -> Change:
        product_id = fields.text(source, "id")

        async def write(connection: AsyncConnection) -> Written:
            return Written(revised=(await self._mirror.apply_product(connection, source, cause)).revised)

        async def follow() -> list[Revision]:
            return await self._assignment.of_product(product_id, cause)

        return Change(frozenset(), write, follow)

    async def _price(self, source: Object, as_of: Instant | None, cause: Cause) -> Change:
        price_id = fields.text(source, "id")
        product_id = fields.reference(source, "product")
        product = fields.child(source, "product")
        # Also where the product came along: without its features.
        if product_id is not None and await self._unknown(_KNOWN_PRODUCTS, {product_id}):
            await self._learning.learn(ObjectKind.PRODUCT, product_id, cause)

        async def write(connection: AsyncConnection) -> Written:
            revised = False
            if product and product_id is not None and as_of is not None:
                revised = await self._write_product(connection, product_id, product, as_of, cause)
            mirrored = await self._mirror.apply_price(connection, source, cause)
            return Written(revised=revised or mirrored.revised)

        async def follow() -> list[Revision]:
            return await self._assignment.of_prices([price_id], cause)

        return Change(frozenset() if product_id is None else frozenset({product_id}), write, follow)

    async def _write_product(
        self, connection: AsyncConnection, product_id: str, product: Object, as_of: Instant, cause: Cause
    ) -> bool:
        """Write the product that came with its price, unless what is held of it may be newer."""
        held = await objects.read(connection, product_id)
        if held.fetch(as_of) is not Verdict.NEWER:
            return False
        await objects.advance(connection, product_id, held.after_fetch(as_of))
        return (await self._mirror.apply_product(connection, product, cause)).revised

    async def _know_prices(self, price_ids: Collection[str], cause: Cause) -> None:
        """Mirror the prices that were never seen: whose an item is depends on them."""
        for price_id in await self._unknown(_KNOWN_PRICES, price_ids):
            await self._learning.learn(ObjectKind.PRICE, price_id, cause)

    async def _know_open_invoices(self, subscription_id: str, latest: str | None, cause: Cause) -> None:
        """Apply what is owed, where nothing tells of it: it begins the grace, which else would be a whole period."""
        parameters = {"id": subscription_id, "latest": latest}
        async with self._engine.connect() as connection:
            known = (await connection.execute(_KNOWN_DEBT, parameters)).scalar_one()
        if known:
            return
        listed = await self._gateway.list_open_invoices(subscription_id)
        for one in (listed.object or {}).get("data", []):
            await self._linked.apply_object(ObjectKind.INVOICE, one, listed.as_of, cause)

    async def _know_subscription(self, source: Object, as_of: Instant, cause: Cause) -> None:
        """Apply the subscription that a session made, unless its own events came first."""
        async with self._engine.connect() as connection:
            held = await objects.read(connection, fields.text(source, "id"))
        if held == NOTHING_HELD:
            await self._linked.apply_object(ObjectKind.SUBSCRIPTION, source, as_of, cause)

    async def _unknown(self, known: Statement, ids: Collection[str]) -> list[str]:
        # One by one, and it is nearly always one: a statement for a list would be planned anew for every event.
        return [one for one in sorted(ids) if not await known.run_alone(self._engine, {"id": one})]


# An event of the latest invoice that waits to be worked on will tell by itself.
_KNOWN_DEBT: Final = text("""
SELECT EXISTS (SELECT FROM invoices WHERE subscription_id = :id AND status = 'open')
    OR EXISTS (SELECT FROM webhook_events WHERE object_id = CAST(:latest AS text) AND status = 'pending')
""")

_KNOWN_PRICES: Final = Statement("SELECT 1 FROM prices p JOIN products m ON m.id = p.product_id WHERE p.id = :id")

_KNOWN_PAYMENTS: Final = Statement("""
SELECT 1 FROM purchases WHERE payment_intent = :id UNION ALL SELECT 1 FROM invoice_payments WHERE payment_intent = :id
""")

_KNOWN_PRODUCTS: Final = Statement("SELECT 1 FROM products WHERE id = :id")
