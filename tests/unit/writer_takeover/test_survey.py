"""What an import would come to follows from the account alone, by the rules that documents are written by."""

from dataclasses import replace
from typing import Any

from common.catalogue import Feature
from common.clock import SECOND, Instant
from common.identifiers import FeatureCode, ProjectId, UserId
from tests.support import stripe_objects as stripe
from tests.support.stripe_objects import MONTH, NOW
from writer.catalogue.declared import DeclaredFeature, ProjectCatalog
from writer.domain.catalogue import Origin, Plan, PlanFeature
from writer.domain.entitle import Grace
from writer.domain.stripe.invoice import parse_invoice
from writer.domain.stripe.session import Session, parse_session
from writer.domain.stripe.subscription import Subscription, parse_subscription
from writer.takeover import here as known
from writer.takeover import owners, report
from writer.takeover.account import Account, Price, Product
from writer.takeover.customer_map import Mapped
from writer.takeover.here import Here
from writer.takeover.report import ImportReport

DAY = 86_400 * SECOND
GRACE = Grace(3 * DAY, SECOND, 30 * DAY)
SHOP, MAPS = 1, 2
PRO = FeatureCode("pro")
HERE = Here(
    projects={ProjectId("shop"): SHOP, ProjectId("maps"): MAPS},
    declared={
        SHOP: ProjectCatalog(
            {PRO: DeclaredFeature(Feature(PRO))},
            {name: Plan(name, Origin.CATALOG, (PlanFeature(PRO),)) for name in ("price_pro", "prod_life")},
        ),
        MAPS: ProjectCatalog({}, {}),
    },
    links={},
    by_sessions=frozenset(),
    claimed={},
    named={},
)


def _account(*bought: Any, **more: Any) -> Account:
    account = Account(
        products={"prod_pro": Product("Pro", True, {}), "prod_life": Product("Archive", True, {})},
        prices={"price_pro": Price("prod_pro", True, {}), "price_life": Price("prod_life", True, {})},
        customers={"cus_1": {}},
    )
    for name, value in more.items():
        setattr(account, name, value)
    account.subscriptions += [one for one in bought if isinstance(one, Subscription)]
    account.sessions += [one for one in bought if isinstance(one, Session)]
    return account


def _sub(**more: Any) -> Subscription:
    return parse_subscription(stripe.subscription(**{"metadata": {}, **more}))


def _bought(**more: Any) -> Session:
    return parse_session(stripe.session(**{"metadata": {}, **more}))


def _report(account: Account, here: Here = HERE, at: int = NOW + 60, **mapped: Mapped) -> ImportReport:
    placed = known.places(here, account)
    decided = owners.decide(account, here, placed, {one.customer_id: one for one in mapped.values()})
    return report.make(account, here, decided, placed, GRACE, Instant(at * SECOND))


def _pro(told: ImportReport) -> int:
    return told.projects[ProjectId("shop")].features["pro"]


ADA = Mapped(2, "cus_1", UserId("ada"), None)


def test_a_map_makes_a_customers_purchases_somebodys() -> None:
    """Without it they are nobody's; an active subscription and a paid purchase of one user count once."""
    account = _account(_sub(), _bought())
    assert (_pro(_report(account)), len(_report(account).unassigned)) == (0, 2)
    told = _report(account, ada=ADA)
    assert (_pro(told), told.unassigned, told.projects[ProjectId("shop")].users) == (1, [], {"ada"})


def test_a_session_makes_its_customer_known() -> None:
    """What one session names tells of the subscription that it made, and of all else that its customer bought."""
    account = _account(_sub(), _bought(client_reference_id="bob"))
    assert (_pro(_report(account)), _report(account).unassigned) == (1, [])
    made = replace(_bought(client_reference_id="bob", customer="cus_2"), subscription_id="sub_1")
    assert _report(_account(_sub(), made)).unassigned == []


def test_an_earlier_session_of_the_account_counts_more_than_a_later_one_that_is_known() -> None:
    """As it will once the earlier one is brought in; a claim, or what metadata say, counts more than both."""
    account = _account(_bought(client_reference_id="ada"), _bought(object_id="cs_2"))
    for by_sessions, users in ((frozenset({"cus_1"}), {"ada"}), (frozenset(), {"ada", "bob"})):
        here = replace(HERE, links={"cus_1": UserId("bob")}, by_sessions=by_sessions)
        assert _report(account, here).projects[ProjectId("shop")].users == users


def test_a_recurring_line_does_not_decide_whose_a_purchase_is() -> None:
    """It is the subscription's, also where it is another project's by its price."""
    mixed = _bought(client_reference_id="ada", metadata={"project_id": "shop"}, prices=("price_life", "price_maps"))
    lines = tuple(replace(line, recurring=line.price_id == "price_maps") for line in mixed.lines or ())
    account = _account(replace(mixed, lines=lines))
    account.prices["price_maps"] = Price("prod_pro", True, {"project_id": "maps"})
    assert (_pro(_report(account)), _report(account).unassigned) == (1, [])


def test_what_is_past_due_counts_for_thirty_days() -> None:
    """From when its oldest open invoice was finalised, whatever its period."""
    account = _account(_sub(status="past_due", metadata={"user_id": "ada"}))
    account.open_invoices["sub_1"] = [parse_invoice(stripe.invoice())]
    assert [_pro(_report(account, at=NOW + days * 86_400)) for days in (1, 29, 31)] == [1, 1, 0]


def test_what_was_given_back_does_not_count() -> None:
    """A whole refund and a lost dispute take it; a partial refund does not."""
    bought = _bought(client_reference_id="ada")
    assert _pro(_report(_account(bought, refunded={"pi_1": 999}))) == 1
    assert _pro(_report(_account(bought, refunded={"pi_1": 1000}))) == 0
    assert _pro(_report(_account(bought, lost={"pi_1"}))) == 0


def test_metadata_places_a_price_before_the_catalogue_does() -> None:
    """The price's own, then its product's; a project that does not exist leaves it nobody's."""
    for metadata, product, place in (
        ({"project_id": "maps"}, {"project_id": "shop"}, MAPS), ({}, {"project_id": "maps"}, MAPS), ({}, {}, SHOP),
        ({"project_id": "none"}, {}, None),
    ):  # fmt: skip
        account = _account()
        account.prices["price_pro"] = Price("prod_pro", True, metadata)
        account.products["prod_pro"] = Product("Pro", True, product)
        assert known.places(HERE, account).get("price_pro") == place


def test_a_price_that_grants_nothing_is_told_with_how_to_mend_it() -> None:
    """Archived ones are called so; what is over does not count."""
    account = _account(_sub(prices=("price_old",)), _sub(object_id="sub_2", prices=("price_old",), status="canceled"))
    account.prices["price_old"] = Price("prod_pro", False, {})
    (idle,) = _report(account).idle_prices
    assert idle.words == (
        "archived price price_old (Pro) is in no catalogue: 1 subscriptions would grant nothing; add it to catalog.yaml"
    )


def test_a_period_that_ended_long_ago_grants_nothing() -> None:
    """As the document would say: the rules are the same."""
    account = _account(_sub(metadata={"user_id": "ada"}))
    assert [_pro(_report(account, at=NOW + MONTH + days * 86_400)) for days in (0, 2, 4)] == [1, 1, 0]
