"""Whose everything of an account is, before anything is written: by the rules that apply when it is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common.identifiers import IdentifierError, ProjectId, UserId, user_id
from writer.domain.stripe.ownership import Claims, Known, Ownership, resolve
from writer.domain.stripe.session import Session
from writer.domain.stripe.subscription import Subscription
from writer.takeover.account import Account
from writer.takeover.customer_map import Mapped
from writer.takeover.here import Here


@dataclass(slots=True)
class Owners:
    """The answer, by subscription and session."""

    owned: dict[str, Ownership] = field(default_factory=dict)
    customers: dict[str, UserId] = field(default_factory=dict)
    """Whose a customer is."""
    bought_in: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Projects in which a customer bought something."""


def decide(account: Account, here: Here, placed: Mapping[str, int], mapped: Mapping[str, Mapped]) -> Owners:
    """Whose everything is, with the customers that a map names."""
    owners = Owners()
    owners.customers |= {name: user for name, user in here.links.items() if name not in here.by_sessions}
    owners.customers |= {one.customer_id: one.user for one in mapped.values()}
    owners.customers |= dict(named_customers(account, here))
    projects = {str(name): project for name, project in here.projects.items()}
    known = Known(projects, placed)
    sessions = [session for session in account.sessions if session.lines is not None]
    # What a session names makes its customer known, also for what came before it; the earliest counts.
    for session in sorted(sessions, key=lambda session: (session.created, session.id)):
        _link(owners, session, _of_session(session, owners, here, known))
    for customer_id in here.by_sessions:
        owners.customers.setdefault(customer_id, here.links[customer_id])
    named = dict(here.named)
    for session in reversed(sessions):
        user = session.metadata.get("user_id") or session.client_reference_id
        if session.subscription_id is not None and user:
            named[session.subscription_id] = user
    for session in sessions:
        owners.owned[session.id] = _of_session(session, owners, here, known)
        _buys(owners, session.customer_id, owners.owned[session.id])
    for subscription in account.subscriptions:
        owned = _of_subscription(subscription, owners, here, known, named.get(subscription.id))
        owners.owned[subscription.id] = owned
        _buys(owners, subscription.customer_id, owned)
    return owners


def named_customers(account: Account, here: Here) -> Iterable[tuple[str, UserId]]:
    """The customers whose own metadata names a user of one of our projects."""
    for customer_id, metadata in account.customers.items():
        if ProjectId(metadata.get("project_id", "")) in here.projects:
            try:
                yield customer_id, user_id(metadata.get("user_id", ""))
            except IdentifierError:
                continue


def _of_session(session: Session, owners: Owners, here: Here, known: Known) -> Ownership:
    claims = Claims(
        metadata=session.metadata,
        claimed_user_id=here.claimed.get(session.id),
        client_reference_id=session.client_reference_id,
        customer_user_id=owners.customers.get(session.customer_id or ""),
    )
    return resolve(claims, known, session.deciding_prices)


def _of_subscription(
    subscription: Subscription, owners: Owners, here: Here, known: Known, named: str | None
) -> Ownership:
    claims = Claims(
        metadata=subscription.metadata,
        claimed_user_id=here.claimed.get(subscription.id),
        client_reference_id=named,
        customer_user_id=owners.customers.get(subscription.customer_id),
    )
    return resolve(claims, known, {item.price_id for item in subscription.items})


def _link(owners: Owners, session: Session, owned: Ownership) -> None:
    """A session of ours says whose its customer is, where nobody knows."""
    try:
        user = user_id(session.metadata.get("user_id") or session.client_reference_id or "")
    except IdentifierError:
        return
    if owned.ours and session.customer_id is not None:
        owners.customers.setdefault(session.customer_id, user)


def _buys(owners: Owners, customer_id: str | None, owned: Ownership) -> None:
    if customer_id is not None:
        owners.bought_in[customer_id] |= set(owned.line_projects.values())
