"""What everybody will hold by an account, worked out by the same rules that write documents, without writing any."""

from collections import Counter, defaultdict
from collections.abc import Mapping

from common.clock import Instant
from common.identifiers import FeatureCode, UserId
from writer.domain.catalogue import Definition
from writer.domain.entitle import Grace, entitle
from writer.domain.sources import Item, PurchaseSource, Sources, SubscriptionSource
from writer.domain.stripe.session import Session
from writer.domain.stripe.subscription import Subscription
from writer.takeover.account import Account
from writer.takeover.owners import Owners

Key = tuple[int, UserId]
"""A project's internal id and a user of it."""


def sources_of(account: Account, owners: Owners) -> dict[Key, Sources]:
    """Everybody's sources."""
    subscriptions: dict[Key, list[SubscriptionSource]] = defaultdict(list)
    purchases: dict[Key, list[PurchaseSource]] = defaultdict(list)
    for subscription in account.subscriptions:
        for key, source in _subscription(subscription, account, owners).items():
            subscriptions[key].append(source)
    for session in account.sessions:
        for key, bought in _purchase(session, account, owners).items():
            purchases[key].append(bought)
    keys = subscriptions.keys() | purchases.keys()
    return {key: Sources(tuple(subscriptions[key]), tuple(purchases[key])) for key in keys}


def holders(
    sources: Mapping[Key, Sources], definitions: Mapping[int, Definition], grace: Grace, now: Instant
) -> dict[int, Counter[FeatureCode]]:
    """By project: how many users hold each feature now."""
    found: dict[int, Counter[FeatureCode]] = defaultdict(Counter)
    for (project, _), held in sources.items():
        rows = entitle(held, definitions[project], grace, now)
        found[project].update(
            {row.feature_code for row in rows if row.valid_from <= now and (row.valid_to is None or now < row.valid_to)}
        )
    return found


def is_settled(session: Session) -> bool:
    """Whether what was bought once is paid, or nothing was to pay."""
    return session.payment_status == "paid" or (
        session.payment_status == "no_payment_required" and session.mode == "payment"
    )


def _subscription(subscription: Subscription, account: Account, owners: Owners) -> dict[Key, SubscriptionSource]:
    owned = owners.owned[subscription.id]
    items: dict[Key, list[Item]] = defaultdict(list)
    for one in subscription.items:
        owner = owned.owner_of(one.price_id)
        if owner is not None:
            items[owner].append(Item(one.price_id, one.product_id, one.quantity, one.period_end))
    return {
        key: SubscriptionSource(
            id=subscription.id,
            status=subscription.status,
            started_at=subscription.started_at,
            items=tuple(mine),
            cancel_at=subscription.cancel_at,
            cancel_at_period_end=subscription.cancel_at_period_end,
            first_period_end=min((one.period_end for one in subscription.items), default=None),
            ended_at=subscription.ended_at,
            unpaid_since=_unpaid_since(subscription, account),
        )
        for key, mine in items.items()
    }


def _unpaid_since(subscription: Subscription, account: Account) -> Instant | None:
    sent = subscription.collection_method == "send_invoice"
    since = (
        (one.due_date or one.finalized_at) if sent else one.finalized_at
        for one in account.open_invoices.get(subscription.id, ())
    )
    return min((moment for moment in since if moment is not None), default=None)


def _purchase(session: Session, account: Account, owners: Owners) -> dict[Key, PurchaseSource]:
    owned = owners.owned.get(session.id)
    if owned is None:
        return {}
    lines: dict[Key, list[Item]] = defaultdict(list)
    for one in session.one_time_lines:
        owner = owned.owner_of(one.price_id)
        if owner is not None:
            lines[owner].append(Item(one.price_id, one.product_id, one.quantity))
    intent = session.payment_intent or ""
    return {
        key: PurchaseSource(
            id=session.id,
            settled=is_settled(session),
            completed_at=session.paid_from or session.created,
            amount=session.amount_total,
            refunded=account.refunded.get(intent, 0),
            dispute_lost=intent in account.lost,
            lines=tuple(mine),
        )
        for key, mine in lines.items()
    }
