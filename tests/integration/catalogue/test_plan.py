"""What an edit would do, told before it happens."""

import asyncio
from typing import Any

import pytest

from common.identifiers import ProjectId
from tests.support.holders import subscribed
from tests.support.operating import ACTOR, Operating
from tests.support.stripe_catalogue import mirror, price, product
from writer.catalogue import imagined, impact
from writer.catalogue.apply import Edit
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.parse import Faults, project_catalog
from writer.operations import catalogue_plan, projects
from writer.operations.catalogue_plan import Plan
from writer.recompute import load_definition

PRO = {"price_1": {"features": ["export", "share"]}}


def declared(features: dict[str, Any], plans: dict[str, Any]) -> ProjectCatalog:
    """A catalogue as catalog.yaml says it."""
    faults = Faults()
    made = project_catalog({"features": features, "plans": plans}, "", faults)
    assert faults.lines == []
    return made


async def plan(side: Operating, **catalogues: ProjectCatalog) -> dict[str, Plan]:
    """What these catalogues would do."""
    found = await side.operations.plan_catalogues({ProjectId(name): one for name, one in catalogues.items()})
    return {str(name): one for name, one in found.items()}


async def put(side: Operating, **catalogues: ProjectCatalog) -> None:
    """Put these catalogues in force, and compute everybody."""
    await side.operations.apply_catalogues({ProjectId(name): one for name, one in catalogues.items()}, ACTOR)
    jobs = side.jobs()
    while await jobs.step():
        pass


async def test_only_those_who_have_it_from_nowhere_else_lose_a_feature(side: Operating) -> None:
    """Holders and losers are counted apart: another price, or a grant, keeps the feature."""
    await side.project()
    await mirror(side, product(metadata={"project_id": "shop"}, name="Shop Pro"))
    await mirror(side, price(nickname="Pro monthly"))
    plans = {**PRO, "price_2": {"features": ["export"]}}
    features: dict[str, Any] = {"export": {}, "share": {}}
    await put(side, shop=declared(features, plans))
    await subscribed(side, "shop", "one", 4, "price_1")
    await subscribed(side, "shop", "two", 3, "price_1", "price_2")
    found = (await plan(side, shop=declared(features, {**plans, "price_1": {"features": ["share"]}})))["shop"]
    assert catalogue_plan.sentences(found) == ["Pro monthly (price_1) loses `export`: 7 users hold it, 4 lose `export`"]
    assert (found.users, found.impact.changed, found.impact.everybody) == (7, 4, False)
    (row,) = catalogue_plan.to_json(found)["plans"]
    assert (row["users"], row["answers"]) == (7, {"lose": 4})


async def test_limits_rise_and_fall_and_a_default_is_everybodys(side: Operating) -> None:
    """Each with its users; of a default also those who have nothing are counted."""
    await side.project()
    features: dict[str, Any] = {"seats": {"kind": "limit"}, "calls": {"kind": "limit", "default": 5}}
    await put(side, shop=declared(features, {"price_1": {"features": {"seats": 5, "calls": 9}}}))
    await subscribed(side, "shop", "pro", 3, "price_1")
    await subscribed(side, "shop", "other", 2, "price_9")
    features["calls"] = {"kind": "limit", "default": 7}
    new = declared(features, {"price_1": {"features": {"seats": 10, "calls": 9}}})
    found = (await plan(side, shop=new))["shop"]
    assert catalogue_plan.sentences(found) == [
        "price_1: `seats 5` → `seats 10`: 3 users hold it, 3 have more of `seats`",
        "feature `calls`: default 5 → 7: 2 have more of `calls`",
    ]
    assert catalogue_plan.summary(found) == (
        "3 users would be computed again, answers change for 5 users; a default changes, which is everybody's"
    )


async def test_a_price_moves_between_two_projects_of_one_file(side: Operating) -> None:
    """In whatever order they stand; what is foreseen is what comes of it, in both."""
    await side.project("blog")
    await side.project("shop")
    await mirror(side, product())
    await mirror(side, price())
    features: dict[str, Any] = {"export": {}, "share": {}}
    await put(side, shop=declared(features, PRO))
    await subscribed(side, "shop", "u", 3, "price_1")
    wish = {"blog": declared(features, PRO), "shop": declared({"export": {}}, {})}
    found = await plan(side, **wish)
    assert catalogue_plan.sentences(found["shop"])[0] == "price_1 moves from shop to blog: 3 users have it"
    assert found["shop"].impact.by_feature == {"export": {"lose": 3}, "share": {"lose": 3}}
    async with side.engine.connect() as connection:
        edits = [Edit(await projects.find(connection, name), one) for name, one in wish.items()]
        foreseen = await imagined.imagine(connection, edits)
    await side.operations.apply_catalogues({ProjectId(name): one for name, one in wish.items()}, ACTOR)
    for one in foreseen.projects:
        async with side.engine.connect() as connection:
            came = await load_definition(connection, one.project.id, one.new.version)
        assert (came.features, came.plans, came.prices) == (one.new.features, one.new.plans, one.new.prices)
    assert await side.rows("SELECT p.public_id FROM prices c JOIN projects p ON p.id = c.project_id") == [("blog",)]


async def test_assigning_that_was_cut_off_is_gone_on_with(side: Operating, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue is in force, its subscribers are not moved yet: the same file again moves them."""
    await side.project("shop")
    await side.project("blog")
    await mirror(side, product())
    await mirror(side, price())
    features: dict[str, Any] = {"export": {}, "share": {}}
    await put(side, shop=declared(features, PRO))
    await subscribed(side, "shop", "u", 2, "price_1")

    async def cut(*_: object) -> None:
        raise ConnectionError

    whole = {"blog": declared(features, PRO), "shop": declared({}, {})}
    with monkeypatch.context() as patch:
        patch.setattr("writer.apply.assignment.Assignment.of_prices", cut)
        with pytest.raises(ConnectionError):
            await put(side, **whole)
    await put(side, **whole)
    rows = await side.rows(
        """SELECT u.user_id, p.public_id FROM subscription_items i JOIN users u ON u.id = i.user_ref
           JOIN projects p ON p.id = u.project_id ORDER BY 1"""
    )
    assert rows == [("u1", "blog"), ("u2", "blog")]


async def test_a_plan_waits_for_no_lock_and_takes_none(side: Operating) -> None:
    """While somebody holds every lock of the project it is answered; a purchase is not held up by it."""
    await side.project()
    await put(side, shop=declared({"export": {}, "share": {}}, PRO))
    await subscribed(side, "shop", "u", 2, "price_1")
    async with side.engine.begin() as connection:
        for table in ("projects", "users", "plans", "features"):
            await connection.exec_driver_sql(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")
            await connection.exec_driver_sql(f"SELECT * FROM {table} FOR UPDATE")
        await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7070000002)")
        async with asyncio.timeout(5):
            found = (await plan(side, shop=declared({}, {})))["shop"]
    assert found.impact.changed == 2
    assert (await side.rows("SELECT catalog_version FROM projects")) == [(2,)]


async def test_beyond_its_bound_the_count_is_told_as_a_lower_one(side: Operating) -> None:
    """So many are computed and no more; whoever reads it is told."""
    await side.project()
    await put(side, shop=declared({"export": {}, "share": {}}, PRO))
    await subscribed(side, "shop", "u", 30, "price_1")
    async with side.engine.connect() as connection:
        project = await projects.find(connection, "shop")
        foreseen = await imagined.imagine(connection, [Edit(project, declared({}, {}))])
        (one,) = foreseen.projects
        counted = await impact.count(
            connection, project.id, one.old, one.new, (), side.recompute.grace, side.clock.now(), most=10, size=10
        )
    assert (counted.computed, counted.changed, counted.is_exact) == (10, 10, False)
