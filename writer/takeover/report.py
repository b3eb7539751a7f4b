"""What an import does, told before it is done: by project, what is nobody's, and what would grant nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from common.clock import Instant
from common.identifiers import ProjectId, UserId
from writer.domain.entitle import Grace
from writer.domain.sources import SubscriptionStatus
from writer.domain.stripe.ownership import Unassigned
from writer.takeover import grants
from writer.takeover.account import Account
from writer.takeover.here import Here, definitions
from writer.takeover.owners import Owners

_ENDED: Final = frozenset({SubscriptionStatus.CANCELED, SubscriptionStatus.INCOMPLETE_EXPIRED})


@dataclass(slots=True)
class ProjectReport:
    """One project's part."""

    customers: set[str] = field(default_factory=set)
    users: set[UserId] = field(default_factory=set)
    subscriptions: Counter[str] = field(default_factory=Counter)
    """By status."""
    purchases: Counter[str] = field(default_factory=Counter)
    """By payment status."""
    features: Mapping[str, int] = field(default_factory=dict)
    """Users who hold each now."""


@dataclass(frozen=True, slots=True)
class Nobodys:
    """Something that is ours by price, and nobody's."""

    id: str
    customer_id: str | None
    reason: Unassigned
    open: bool
    """Whether it would grant something."""


@dataclass(frozen=True, slots=True)
class IdlePrice:
    """A price that was bought and grants nothing. `project` None: it is in no catalogue."""

    id: str
    product: str
    archived: bool
    project: ProjectId | None
    subscriptions: int
    """Open ones."""
    purchases: int

    @property
    def words(self) -> str:
        """What it means and how to mend it."""
        name = f"{'archived ' if self.archived else ''}price {self.id} ({self.product})"
        bought = [f"{self.subscriptions} subscriptions"] * bool(self.subscriptions)
        bought += [f"{self.purchases} purchases"] * bool(self.purchases)
        if self.project is None:
            return f"{name} is in no catalogue: {' and '.join(bought)} would grant nothing; add it to catalog.yaml"
        return f"{name} of {self.project} grants no feature: {' and '.join(bought)}; name its features in catalog.yaml"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The whole of it."""

    customers: int
    subscriptions: int
    purchases: int
    projects: Mapping[ProjectId, ProjectReport]
    unassigned: Sequence[Nobodys]
    idle_prices: Sequence[IdlePrice]
    one_off_invoices: Sequence[str]
    """Paid invoices with prices of ours and without a checkout session: they grant nothing."""
    unreadable: Mapping[str, str]


def make(
    account: Account, here: Here, owners: Owners, placed: Mapping[str, int], grace: Grace, now: Instant
) -> ImportReport:
    """The report on an account whose owners are decided."""
    catalogues = definitions(here, account, placed)
    sources = grants.sources_of(account, owners)
    held = grants.holders(sources, catalogues, grace, now)
    projects = {
        name: ProjectReport(features={str(code): held[one][code] for code in sorted(catalogues[one].features)})
        for name, one in here.projects.items()
    }
    names = {one: name for name, one in here.projects.items()}
    for project, user in sources:
        projects[names[project]].users.add(user)
    _count(account, owners, projects, names)
    purchases = [session for session in account.sessions if session.one_time_lines]
    return ImportReport(
        customers=len(account.customers),
        subscriptions=len(account.subscriptions),
        purchases=len(purchases),
        projects=projects,
        unassigned=_unassigned(account, owners),
        idle_prices=_idle(account, here, placed, catalogues),
        one_off_invoices=[name for name, prices in account.one_off_invoices.items() if placed.keys() & set(prices)],
        unreadable=account.unreadable,
    )


def to_json(report: ImportReport) -> dict[str, Any]:
    """As `--json` shows it."""
    return {
        "customers": report.customers,
        "subscriptions": report.subscriptions,
        "purchases": report.purchases,
        "projects": {
            name: {
                "customers": len(one.customers),
                "users": len(one.users),
                "subscriptions": dict(sorted(one.subscriptions.items())),
                "purchases": dict(sorted(one.purchases.items())),
                "features": dict(one.features),
            }
            for name, one in report.projects.items()
        },
        "unassigned": [
            {"id": one.id, "customer_id": one.customer_id, "reason": one.reason.value, "open": one.open}
            for one in report.unassigned
        ],
        "idle_prices": [
            {
                "price_id": one.id,
                "product": one.product,
                "archived": one.archived,
                "project_id": one.project,
                "subscriptions": one.subscriptions,
                "purchases": one.purchases,
                "what": one.words,
            }
            for one in report.idle_prices
        ],
        "one_off_invoices": list(report.one_off_invoices),
        "unreadable": dict(report.unreadable),
    }


def _count(
    account: Account, owners: Owners, projects: Mapping[ProjectId, ProjectReport], names: Mapping[int, ProjectId]
) -> None:
    for subscription in account.subscriptions:
        for one in set(owners.owned[subscription.id].line_projects.values()):
            projects[names[one]].subscriptions[subscription.status.value] += 1
    for session in account.sessions:
        owned = owners.owned.get(session.id)
        lines = {line.price_id for line in session.one_time_lines}
        for one in {place for price, place in owned.line_projects.items() if price in lines} if owned else ():
            projects[names[one]].purchases[session.payment_status] += 1
    for customer_id, places in owners.bought_in.items():
        for one in places:
            projects[names[one]].customers.add(customer_id)


def _unassigned(account: Account, owners: Owners) -> list[Nobodys]:
    found = []
    for subscription in account.subscriptions:
        reason = owners.owned[subscription.id].unassigned
        if reason is not None:
            is_open = subscription.status not in _ENDED
            found.append(Nobodys(subscription.id, subscription.customer_id, reason, is_open))
    for session in account.sessions:
        owned = owners.owned.get(session.id)
        if owned is not None and owned.unassigned is not None and session.one_time_lines:
            found.append(Nobodys(session.id, session.customer_id, owned.unassigned, grants.is_settled(session)))
    return found


def _idle(account: Account, here: Here, placed: Mapping[str, int], catalogues: Mapping[int, Any]) -> list[IdlePrice]:
    subscriptions = Counter(
        price
        for subscription in account.subscriptions
        if subscription.status not in _ENDED
        for price in {item.price_id for item in subscription.items}
    )
    purchases = Counter(
        price for session in account.sessions for price in {line.price_id for line in session.one_time_lines}
    )
    found = []
    for price_id in sorted(subscriptions.keys() | purchases.keys()):
        price = account.prices.get(price_id)
        project = placed.get(price_id)
        product_id = price.product_id if price else ""
        plan = None if project is None else catalogues[project].plan_for(price_id, product_id)
        if plan is None or not plan.features:
            product = account.products.get(product_id)
            found.append(
                IdlePrice(
                    id=price_id,
                    product=product.name if product else product_id or "unknown",
                    archived=price is not None and not (price.active and (product is None or product.active)),
                    project=None if project is None else here.name_of(project),
                    subscriptions=subscriptions[price_id],
                    purchases=purchases[price_id],
                )
            )
    return sorted(found, key=lambda one: (-one.subscriptions - one.purchases, one.id))
