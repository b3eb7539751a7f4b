"""The catalogue: declared, mirrored, in versions; and whom a new version concerns."""

import asyncio
from typing import Any

import pytest

from tests.support.operating import ACTOR, Operating
from tests.support.stripe_catalogue import CAUSE, mirror, price, product
from writer.apply.mirror import Mirrored
from writer.catalogue.mirror import StripeMirror

PATH = "/api/v1/admin/projects/shop/catalog"


async def catalog(side: Operating) -> dict[str, Any]:
    """What operators see."""
    _, body = await side.call("GET", PATH)
    assert isinstance(body, dict)
    return body


async def test_a_declared_catalogue_is_one_revision(side: Operating) -> None:
    """PUT commits a version as one revision; the same again commits nothing."""
    await side.project()
    body = {"features": {"pro": {"name": "Pro"}}, "plans": {"price_1": {"features": ["pro"]}}}
    status, answer = await side.call("PUT", PATH, body)
    assert (status, answer["changed"], answer["version"]) == (200, True, 2)
    assert answer["declared"] == {
        "features": {"pro": {"kind": "plain", "name": "Pro"}},
        "plans": {"price_1": {"features": {"pro": True}}},
    }
    assert (await side.call("PUT", PATH, answer["declared"]))[1]["changed"] is False
    assert await side.rows("SELECT revision, catalog_version FROM projects") == [(2, 2)]
    assert await side.rows("SELECT version, revision FROM catalog_versions ORDER BY 1") == [(1, 1), (2, 2)]


async def test_a_catalogue_is_planned_over_the_api(side: Operating) -> None:
    """The same body as for PUT is answered with what it would do; nothing is kept, and faults are faults here too."""
    await side.project()
    await side.call("PUT", PATH, {"features": {"pro": {}}, "plans": {"price_1": {"features": ["pro"]}}})
    status, plan = await side.call("POST", f"{PATH}/plan", {"features": {"pro": {}}, "plans": {}})
    assert (status, plan["users"], plan["changed_users"]) == (200, 0, 0)
    assert plan["sentences"] == ["price_1 loses `pro`: 0 users hold it, nobody's answer changes"]
    assert (await catalog(side))["version"] == 2
    status, problem = await side.call("POST", f"{PATH}/plan", {"featurs": {}})
    assert (status, problem["code"]) == (400, "invalid_catalog")
    assert (await side.call("POST", "/api/v1/admin/projects/none/catalog/plan", {}))[0] == 404


async def test_a_name_changes_without_a_version(side: Operating) -> None:
    """Names are for people: sidecars need not hear of them."""
    await side.project()
    await side.call("PUT", PATH, {"features": {"pro": {"name": "Pro"}}})
    _, answer = await side.call("PUT", PATH, {"features": {"pro": {"name": "Professional"}}, "name": "The shop"})
    assert (answer["changed"], answer["declared"]["features"]["pro"]["name"]) == (False, "Professional")
    assert await side.rows("SELECT name FROM projects") == [("The shop",)]


async def test_all_faults_of_a_catalogue_are_told_at_once(side: Operating) -> None:
    """The problem lists each with its path, and nothing is changed."""
    await side.project()
    body = {"featurs": {}, "features": {"a b": {}, "x": {"kind": "limt"}}, "plans": {"gold": {"features": ["y"]}}}
    status, problem = await side.call("PUT", PATH, body)
    assert (status, problem["code"]) == (400, "invalid_catalog")
    assert [fault.split(":")[0] for fault in problem["faults"]] == [
        "featurs",
        "features.a b",
        "features.x.kind",
        "plans.gold",
        "plans.gold.features.y",
    ]
    assert await side.rows("SELECT catalog_version FROM projects") == [(1,)]


async def test_a_target_belongs_to_one_project_only(side: Operating) -> None:
    """The second project that names a price is refused, and told who has it."""
    await side.project()
    await side.project("blog")
    body = {"features": {"pro": {}}, "plans": {"price_1": {"features": ["pro"]}}}
    assert (await side.call("PUT", PATH, body))[0] == 200
    status, problem = await side.call("PUT", "/api/v1/admin/projects/blog/catalog", body)
    assert (status, problem["code"]) == (409, "target_taken")
    assert problem["faults"] == ["plans.price_1: is in the catalogue of project shop already"]


async def test_stripe_metadata_makes_plans_and_plain_features(side: Operating) -> None:
    """feature_codes on a price of a known project become features of origin stripe, in one version."""
    await side.project()
    assert await mirror(side, product(metadata={"project_id": "shop"})) == Mirrored(revised=False)
    done = await mirror(side, price(metadata={"feature_codes": "pro, seats=5"}))
    assert done == Mirrored(revised=True, moved_prices=frozenset({"price_1"}))
    in_force = (await catalog(side))["in_force"]
    assert in_force["features"]["pro"]["kind"] == "plain"
    assert in_force["features"]["seats"]["kind"] == "limit"
    assert in_force["plans"][0]["features"] == [
        {"code": "pro", "value": None, "per_unit": False},
        {"code": "seats", "value": 5, "per_unit": False},
    ]
    assert await side.rows("SELECT code, origin FROM features ORDER BY 1") == [("pro", "stripe"), ("seats", "stripe")]
    assert await mirror(side, price(metadata={"feature_codes": "seats=5,pro"}, unit_amount=1)) == Mirrored(
        revised=False
    )


async def test_the_file_wins_where_it_speaks(side: Operating) -> None:
    """A declared plan for a product covers a price whose Stripe metadata says otherwise."""
    await side.project()
    await mirror(side, product(metadata={"project_id": "shop"}))
    await mirror(side, price(metadata={"feature_codes": "cheap"}))
    await side.call("PUT", PATH, {"features": {"pro": {}}, "plans": {"prod_1": {"features": ["pro"]}}})
    ((body,),) = await side.rows("SELECT body FROM outbox WHERE op = 'catalog' ORDER BY revision DESC LIMIT 1")
    assert body["features"]["pro"]["unlocked_by"] == ["price_1"]
    assert body["features"]["cheap"]["unlocked_by"] == []


async def test_a_price_follows_its_project(side: Operating) -> None:
    """A price moves with its metadata, its product's or the catalogue that names it, and both catalogues follow."""
    await side.project("shop")
    await side.project("blog")
    await mirror(side, product())
    assert await mirror(side, price()) == Mirrored(revised=False)
    body = {"features": {"pro": {}}, "plans": {"price_1": {"features": ["pro"]}}}
    assert (await side.call("PUT", PATH, body))[1]["moved_prices"] == ["price_1"]
    moved = await mirror(side, product(metadata={"project_id": "blog"}))
    assert moved == Mirrored(revised=True, moved_prices=frozenset({"price_1"}))
    moved = await mirror(side, price(metadata={"project_id": "shop"}))
    assert moved.moved_prices == {"price_1"}
    moved = await mirror(side, price(metadata={"project_id": "nowhere"}))
    assert moved.moved_prices == {"price_1"}
    assert await side.rows("SELECT project_id FROM prices") == [(None,)]
    assert (await mirror(side, price(metadata={"project_id": "nowhere"}))).moved_prices == frozenset()


async def test_a_project_that_comes_later_finds_its_prices(side: Operating) -> None:
    """Products that named a project before it existed are its own once it is created."""
    await mirror(side, product(metadata={"project_id": "shop", "feature_codes": "pro"}))
    await mirror(side, price())
    await side.operations.create_project("shop", "shop", [], ACTOR)
    assert (await catalog(side))["in_force"]["prices"] == {
        "price_1": {"product": "prod_1", "active": True, "grant_days": None}
    }


async def test_a_gone_price_stays_but_unlocks_nothing(side: Operating) -> None:
    """Deleted objects keep their rows, inactive; the catalogue no longer offers them."""
    await side.project()
    await mirror(side, product(metadata={"project_id": "shop", "feature_codes": "pro", "grant_days": "30"}))
    await mirror(side, price())
    assert (await catalog(side))["in_force"]["prices"]["price_1"]["grant_days"] == 30
    assert (await mirror(side, {"id": "price_1", "object": "price", "deleted": True})).revised
    assert (await catalog(side))["in_force"]["prices"]["price_1"]["active"] is False
    assert not (await mirror(side, {"id": "price_9", "object": "price", "deleted": True})).revised


async def test_the_pricing_page_shows_what_can_be_bought(side: Operating) -> None:
    """Active prices with amounts, intervals, product and features; archived ones are left out."""
    shop = await side.project()
    await mirror(side, product(metadata={"project_id": "shop"}, description="All of it"))
    await mirror(side, price(metadata={"feature_codes": "pro"}))
    await mirror(side, price("price_2", active=False))
    await mirror(
        side, price("price_3", type="one_time", recurring=None, unit_amount=5000, metadata={"grant_days": "90"})
    )
    status, body = await side.call("GET", "/api/v1/catalog", headers=shop)
    assert (status, [one["price_id"] for one in body["prices"]]) == (200, ["price_1", "price_3"])
    first, last = body["prices"]
    assert (first["product_name"], first["description"], first["unit_amount"]) == ("Pro", "All of it", 900)
    assert (first["interval"], first["interval_count"], first["currency"]) == ("month", 1, "eur")
    assert first["features"] == [{"code": "pro", "name": None, "value": None, "per_unit": False}]
    assert (last["type"], last["interval"], last["grant_days"]) == ("one_time", None, 90)


async def test_edits_at_the_same_moment_lose_nothing(side: Operating) -> None:
    """A catalogue and the prices it names, written at once by many, end in one right version."""
    await side.project()
    body = {"features": {"pro": {}}, "plans": {f"price_{n}": {"features": ["pro"]} for n in range(8)}}
    await asyncio.gather(side.call("PUT", PATH, body), *[mirror(side, price(f"price_{n}")) for n in range(8)])
    ((last,),) = await side.rows("SELECT body FROM outbox WHERE op = 'catalog' ORDER BY revision DESC LIMIT 1")
    assert last["features"]["pro"]["unlocked_by"] == [f"price_{n}" for n in range(8)]
    versions = await side.rows("SELECT version FROM catalog_versions ORDER BY 1")
    assert versions == [(n + 1,) for n in range(len(versions))]


async def test_a_price_and_the_plan_that_names_it_see_each_other(side: Operating) -> None:
    """A catalogue waits for a price that is just being written, and then has it."""
    await side.project()
    body = {"features": {"pro": {}}, "plans": {"price_1": {"features": ["pro"]}}}
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with side.engine.begin() as connection:
        await StripeMirror(side.clock).apply_price(connection, price(), CAUSE)
        edit = asyncio.create_task(side.call("PUT", PATH, body))
        while not edit.done() and not await side.rows(waiting):  # noqa: ASYNC110 - a lock in a server has no event
            await asyncio.sleep(0.01)
    assert (await edit)[1]["moved_prices"] == ["price_1"]
    assert (await catalog(side))["in_force"]["prices"]["price_1"]["active"] is True


async def _holders(side: Operating, count: int, price_id: str) -> None:
    """Users with an active subscription item on the price, written as the mirror holds them."""
    await side.rows(
        """WITH u AS (INSERT INTO users (project_id, user_id) SELECT 1, 'u' || n FROM generate_series(1, :count) n
               RETURNING id, user_id),
           s AS (INSERT INTO subscriptions (id, customer_id, user_id, status, started_at, cancel_at_period_end,
                   collection_method, livemode)
               SELECT 'sub_' || user_id, 'cus_1', user_id, 'active', now(), false, 'charge_automatically', false FROM u
               RETURNING id),
           i AS (INSERT INTO subscription_items (id, subscription_id, user_ref, price_id, product_id, quantity,
                   period_start, period_end)
               SELECT 'si_' || user_id, 'sub_' || user_id, id, :price, 'prod_1', 1, now(), now() + interval '30 days'
               FROM u)
           SELECT 1""",
        count=count,
        price=price_id,
    )


async def test_holders_follow_a_new_version_in_chunks(side: Operating, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody who holds a changed plan gets it; a worker that died is taken over behind its cursor."""
    monkeypatch.setattr("writer.catalogue.recompute_jobs.CHUNK", 10)
    monkeypatch.setattr("writer.catalogue.holders.WINDOW", 25)
    await side.project()
    await _holders(side, 60, "price_1")
    body = {"features": {"pro": {}}, "plans": {"price_1": {"features": ["pro"]}}}
    await side.call("PUT", PATH, body)
    first, second = side.jobs("writer-1"), side.jobs("writer-2")
    assert await first.step()
    await side.rows(
        "UPDATE recompute_jobs SET claimed_by = 'writer-1', claimed_until = now() + interval '1 hour' RETURNING 1"
    )
    assert not await second.step()
    await side.rows("UPDATE recompute_jobs SET claimed_until = now() - interval '1 second' RETURNING 1")
    while await second.step():
        pass
    assert await side.rows("SELECT count(*) FROM documents WHERE NOT is_empty") == [(60,)]
    assert await side.rows("SELECT done, finished_at IS NOT NULL FROM recompute_jobs") == [(60, True)]
    assert await side.rows("SELECT user_count, revision FROM projects") == [(60, 62)]
    assert await side.rows("SELECT DISTINCT cause FROM entitlement_history") == [("catalog:2",)]


async def test_only_those_concerned_are_computed(side: Operating) -> None:
    """A change of one plan leaves holders of others alone, a default concerns nobody, a kind its manual grants."""
    await side.project()
    features: dict[str, Any] = {"pro": {}, "seats": {"kind": "limit"}}
    await side.call("PUT", PATH, {"features": features, "plans": {"price_1": {"features": ["pro"]}}})
    assert await side.rows("SELECT targets FROM recompute_jobs ORDER BY id DESC LIMIT 1") == [
        (["feature:pro", "feature:seats", "price_1"],)
    ]
    await side.call("PUT", PATH, {"features": features, "plans": {"price_1": {"rank": 1, "features": ["pro"]}}})
    assert await side.rows("SELECT targets FROM recompute_jobs ORDER BY id DESC LIMIT 1") == [(["price_1"],)]
    ((jobs,),) = await side.rows("SELECT count(*) FROM recompute_jobs")
    features["pro"] = {"default": True}
    await side.call("PUT", PATH, {"features": features, "plans": {"price_1": {"rank": 1, "features": ["pro"]}}})
    assert await side.rows("SELECT count(*) FROM recompute_jobs") == [(jobs,)]
    assert await side.rows("SELECT catalog_version FROM projects") == [(4,)]


async def test_a_feature_that_goes_takes_its_manual_grants_out_of_documents(side: Operating) -> None:
    """The grant is kept, and counts again once the feature is back."""
    shop = await side.project()
    await side.call("PUT", PATH, {"features": {"pro": {}}})
    wish = {"project_id": "shop", "user_id": "ann", "feature": "pro", "reason": "x"}
    await side.call("POST", "/api/v1/admin/grant", wish)
    for body, held in (({"features": {}}, 0), ({"features": {"pro": {}}}, 1)):
        await side.call("PUT", PATH, body)
        jobs = side.jobs()
        while await jobs.step():
            pass
        _, document = await side.call("GET", "/api/v1/entitlements?user_id=ann", headers=shop)
        assert len(document["entitlements"]) == held
