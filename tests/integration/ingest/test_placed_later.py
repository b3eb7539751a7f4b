"""What is said of a customer counts by the projects and prices of now, in whatever order it comes to be known."""

import asyncio
import itertools

import pytest

from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest, until
from tests.support.stripe_objects import NOW, Json
from writer.apply import customer, objects
from writer.domain.stripe.customer import parse_customer
from writer.operations.audit import Actor
from writer.operations.operations import Operations

LATER = {"user_id": "ada", "project_id": "later"}


def operations(ingest: Ingest) -> Operations:
    """An operator's, on the same database."""
    return Operations(ingest.engine, ingest.transactions, ingest.recompute, ingest.clock, lambda: None)


def placed(at: int, **metadata: str) -> Json:
    """The event of an edit of `price_late`, which the apps of nobody we know sold."""
    source = stripe.price("price_late", "prod_life", recurring=False, metadata=metadata)
    return stripe.event("price.updated", source, NOW + at)


def completed(source: Json) -> Json:
    """A session's event, without what Stripe leaves out of it."""
    return stripe.event("checkout.session.completed", stripe.as_payload(source), NOW + 40)


def sold_late(ingest: Ingest) -> tuple[Json, Json]:
    """A session that names ada and sold `price_late`, and one of the same customer that names nobody."""
    named = stripe.session(prices=("price_late",), metadata={}, client_reference_id="ada")
    bare = stripe.session("cs_2", intent="pi_2", metadata={})
    ingest.stripe.hold(named, bare, stripe.price("price_late", "prod_life", recurring=False))
    return completed(named), completed(bare)


async def account(ingest: Ingest) -> tuple[str | None, tuple[str, str] | None]:
    """The customer's user, and the account that its checkouts and portal use: project and user."""
    (row,) = await ingest.query(
        "SELECT c.user_id, u.user_id AS account, p.public_id FROM stripe_customers c "
        "LEFT JOIN users u ON u.id = c.user_ref LEFT JOIN projects p ON p.id = u.project_id"
    )
    return row.user_id, None if row.account is None else (row.public_id, row.account)


async def buyers(ingest: Ingest) -> dict[str, str]:
    """Whose in `shop` what was bought once is, by session."""
    rows = await ingest.query(
        "SELECT l.purchase_id, u.user_id FROM purchase_lines l JOIN users u ON u.id = l.user_ref "
        "JOIN projects p ON p.id = u.project_id AND p.public_id = 'shop'"
    )
    return {row.purchase_id: row.user_id for row in rows}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_session_of_a_price_that_is_placed_later_names_its_customer(
    ingest: Ingest, order: tuple[int, ...]
) -> None:
    """Once its price is in a project, whom it names is its customer's user; once it is in none, nobody is."""
    events = [*sold_late(ingest), placed(100, project_id="shop")]
    for n in order:
        await ingest.deliver(events[n])
    assert await buyers(ingest) == {"cs_1": "ada", "cs_2": "ada"}
    assert await account(ingest) == ("ada", ("shop", "ada"))
    await ingest.deliver(placed(200))
    assert await buyers(ingest) == {}
    assert await account(ingest) == (None, None)


async def test_a_catalogue_that_places_the_price_later_names_the_customer(ingest: Ingest) -> None:
    """As with metadata, and again when the price is another project's."""
    await ingest.deliver(*sold_late(ingest))
    assert await account(ingest) == (None, None)
    side = operations(ingest)
    await side.create_project("blog", "Blog", [], Actor("test"))
    for project, mine in (("blog", {"cs_2"}), ("shop", {"cs_1", "cs_2"})):
        await ingest.query("DELETE FROM plans WHERE target = 'price_late'")
        await ingest.query(
            "INSERT INTO plans (project_id, origin, target) SELECT id, 'catalog', 'price_late' FROM projects "
            "WHERE public_id = :project", project=project,
        )  # fmt: skip
        await ingest.deliver(placed(100 if project == "blog" else 200))
        assert await account(ingest) == ("ada", (project, "ada"))
        assert (await buyers(ingest)).keys() == mine


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_metadata_that_name_a_project_of_later(ingest: Ingest, order: tuple[int, ...]) -> None:
    """What a customer's metadata said before their project existed counts from the moment it does."""
    bare = stripe.session(metadata={})
    ingest.stripe.hold(bare)
    events = [stripe.event("customer.created", stripe.customer(metadata=LATER)), completed(bare)]
    for n in order:
        if n < len(events):
            await ingest.deliver(events[n])
        else:
            await operations(ingest).create_project("later", "Later", [], Actor("test"))
    assert list(await ingest.held("ada")) == ["cs_1 archive"]
    assert await account(ingest) == ("ada", ("later", "ada"))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_session_that_names_a_project_of_later(ingest: Ingest, order: tuple[int, ...]) -> None:
    """It names its customer's user from the moment that the project exists."""
    named = stripe.session(prices=("price_late",), metadata=LATER)
    bare = stripe.session("cs_2", intent="pi_2", metadata={})
    ingest.stripe.hold(named, bare, stripe.price("price_late", "prod_life", recurring=False))
    for n in order:
        if n < 2:
            await ingest.deliver(completed((named, bare)[n]))
        else:
            await operations(ingest).create_project("later", "Later", [], Actor("test"))
    assert list(await ingest.held("ada")) == ["cs_2 archive"]
    assert await account(ingest) == ("ada", ("later", "ada"))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_account_that_pays_is_the_earliest_sessions(ingest: Ingest, order: tuple[int, ...]) -> None:
    """Of two projects in which the same user bought, it is the first one's, not the one's heard of first."""
    await operations(ingest).create_project("blog", "Blog", [], Actor("test"))
    sessions = [
        {**stripe.session(f"cs_{n}", intent=f"pi_{n}", metadata={"user_id": "ada", "project_id": project})}
        for n, project in ((1, "shop"), (2, "blog"))
    ]
    sessions = [{**one, "created": NOW + n, "line_items": lines("price_late")} for n, one in enumerate(sessions)]
    ingest.stripe.hold(*sessions, stripe.price("price_late", "prod_life", recurring=False))
    customer_event = stripe.event("customer.created", stripe.customer(metadata={}))
    events = [completed(one) for one in sessions] + [customer_event]
    for n in order:
        await ingest.deliver(events[n])
    assert await account(ingest) == ("ada", ("shop", "ada"))


def lines(price: str) -> Json:
    """A session's lines, of one price."""
    found: Json = stripe.session(prices=(price,))["line_items"]
    return found


async def test_a_project_that_is_made_while_somebody_names_it(ingest: Ingest) -> None:
    """Whoever makes it waits for those who wrote as if it did not exist, and then finds what they wrote."""
    named = parse_customer(stripe.customer(metadata=LATER))
    async with ingest.engine.begin() as connection:
        await objects.lock(connection, {named.id})
        await customer.write(connection, named)
        making = asyncio.create_task(operations(ingest).create_project("later", "Later", [], Actor("test")))
        await until(ingest, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")
    await making
    assert await account(ingest) == ("ada", ("later", "ada"))


async def test_settling_that_was_cut_off_is_gone_on_with(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that died after the customer and before what it bought leaves it to the event's next try."""
    await ingest.deliver(*sold_late(ingest))

    edit = placed(100, project_id="shop")

    async def cut(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr("writer.apply.assignment.Assignment.purchase", cut)
        event = await ingest.receive(placed(100, project_id="shop"))
        await ingest.pipeline.process(event.object_id or "")
    assert (await account(ingest), await buyers(ingest)) == (("ada", ("shop", "ada")), {})
    ingest.stripe.hold(edit["data"]["object"])
    async with ingest.working():
        await until(ingest, "SELECT NOT EXISTS (SELECT FROM webhook_events WHERE status = 'pending')")
    assert await buyers(ingest) == {"cs_1": "ada", "cs_2": "ada"}
