"""What is ours by price and nobody's is shown with its reason, and given to whom an operator says."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from tests.integration.operating.conftest import Desk
from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest
from tests.support.operating import ACTOR
from tests.support.stripe_objects import NOW, Json
from writer.gateway.errors import StripeUnavailableError

Client = TestClient[web.Request, web.Application]


def _sub(name: str = "sub_1", **more: Any) -> Json:
    return stripe.subscription(name, **{"metadata": {}, **more})


def _bought(name: str = "cs_1", **more: Any) -> Json:
    return stripe.session(name, **{"metadata": {}, **more})


async def _receive(ingest: Ingest, *sources: Json) -> None:
    for source in sources:
        ingest.stripe.hold(source)
        name = "customer.subscription.updated" if source["object"] == "subscription" else "checkout.session.completed"
        await ingest.deliver(stripe.event(name, source))


async def _claim(client: Client, object_id: str, user: str, **more: Any) -> tuple[int, Any]:
    body = {"object_id": object_id, "user_id": user, **more}
    async with client.post("/api/v1/admin/claim", json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def _unassigned(client: Client, query: str = "") -> list[Any]:
    async with client.get(f"/api/v1/admin/unassigned{query}") as answer:
        return list((await answer.json())["unassigned"])


async def test_what_is_nobodys_is_listed_with_its_reason(desk: Desk, claiming: Client) -> None:
    """Product, amount, customer and since when; what is over only when asked for, another project's not at all."""
    await _receive(
        desk.ingest,
        _sub("sub_1"),
        _bought("cs_1"),
        _sub("sub_over", status="canceled", ended_at=NOW),
        _sub("sub_lost", metadata={"user_id": "ada", "project_id": "none"}),
        stripe.subscription("sub_hers"),
    )
    await desk.ingest.query("UPDATE prices SET unit_amount = 900")
    found = {one["id"]: one for one in await _unassigned(claiming)}
    assert sorted(found) == ["cs_1", "sub_1", "sub_lost"]
    told = {name: found["sub_1"][name] for name in ("customer_id", "products", "projects", "amount", "currency")}
    assert told == {
        "customer_id": "cus_1", "products": ["Pro"], "projects": ["shop"], "amount": 900, "currency": "usd",
    }  # fmt: skip
    assert (found["cs_1"]["amount"], found["cs_1"]["products"]) == (1000, ["Archive"])
    assert "billing claim sub_1 USER" in found["sub_1"]["mend"]
    assert "create that project" in found["sub_lost"]["mend"]
    assert "sub_over" in {one["id"] for one in await _unassigned(claiming, "?ended=true")}
    assert len(await _unassigned(claiming, "?project_id=shop")) == 3
    await desk.side.operations.create_project("maps", "maps", [], actor=ACTOR)
    assert await _unassigned(claiming, "?project_id=maps") == []


async def test_a_subscription_is_claimed_and_claimed_again(desk: Desk, claiming: Client) -> None:
    """It grants to the one who is named; named again it moves, and the audit log holds both."""
    await _receive(desk.ingest, _sub())
    status, done = await _claim(claiming, "sub_1", "ada", reason="ticket 1")
    assert (status, done["assigned"], done["before"], done["changed"]) == (200, ["sub_1"], None, True)
    assert list(await desk.ingest.held("ada")) == ["sub_1 export"]
    head = await desk.side.operations.project("shop")
    assert done["tokens"] == {"shop": head.position.token}
    _, again = await _claim(claiming, "sub_1", "ada")
    assert (again["changed"], again["assigned"]) == (False, [])
    _, moved = await _claim(claiming, "sub_1", "bob")
    assert (moved["before"], await desk.ingest.held("ada")) == ("ada", {})
    assert list(await desk.ingest.held("bob")) == ["sub_1 export"]
    rows = await desk.side.rows(
        "SELECT reason, after->>'user_id' FROM audit_log WHERE action = 'object.claim' ORDER BY id"
    )
    assert rows == [("ticket 1", "ada"), (None, "ada"), (None, "bob")]


async def test_a_claim_outlives_later_events(desk: Desk, claiming: Client) -> None:
    """An update of the subscription leaves it with whom it was claimed for; metadata that names somebody moves it."""
    await _receive(desk.ingest, _sub())
    await _claim(claiming, "sub_1", "ada")
    await desk.ingest.deliver(stripe.event("customer.subscription.updated", _sub(), NOW + 60))
    assert list(await desk.ingest.held("ada")) == ["sub_1 export"]
    named = _sub(metadata={"user_id": "cy"})
    await desk.ingest.deliver(stripe.event("customer.subscription.updated", named, NOW + 120))
    assert (await desk.ingest.held("ada"), list(await desk.ingest.held("cy"))) == ({}, ["sub_1 export"])


async def test_a_customer_is_claimed_with_all_it_bought(desk: Desk, claiming: Client) -> None:
    """What names somebody else stays theirs; what the customer buys later is the user's too."""
    await _receive(
        desk.ingest, _sub("sub_1"), _bought("cs_1"), _sub("sub_bobs", metadata={"user_id": "bob"}), _sub("sub_2")
    )
    desk.ingest.stripe.hold(stripe.customer())
    status, done = await _claim(claiming, "cus_1", "ada")
    assert (status, done["assigned"], done["left"]) == (200, ["cs_1", "sub_1", "sub_2"], [])
    assert sorted(await desk.ingest.held("ada")) == ["cs_1 archive", "sub_1 export", "sub_2 export"]
    assert list(await desk.ingest.held("bob")) == ["sub_bobs export"]
    await _receive(desk.ingest, _sub("sub_3"))
    assert "sub_3 export" in await desk.ingest.held("ada")
    _, moved = await _claim(claiming, "cus_1", "cy")
    assert (moved["before"], len(moved["assigned"])) == ("ada", 4)
    assert await desk.ingest.held("ada") == {}


async def test_a_purchase_that_is_not_held_is_fetched_first(desk: Desk, claiming: Client) -> None:
    """From before this service: Stripe tells of it, then it is claimed."""
    desk.ingest.stripe.hold(_bought("cs_old"), stripe.price("price_life", "prod_life", recurring=False))
    status, done = await _claim(claiming, "cs_old", "ada")
    assert (status, done["assigned"]) == (200, ["cs_old"])
    assert list(await desk.ingest.held("ada")) == ["cs_old archive"]


@pytest.mark.parametrize(
    ("object_id", "more", "status", "code", "words"),
    [
        ("sub_bobs", {}, 409, "claim_conflicts", "names the user bob"),
        ("sub_lost", {}, 409, "claim_conflicts", "names no project"),
        ("sub_alien", {}, 409, "claim_not_ours", "put price_alien into a catalogue"),
        ("sub_1", {"project_id": "maps"}, 409, "claim_conflicts", "is of shop"),
        ("sub_1", {"project_id": "none"}, 404, "unknown_project", "none"),
        ("sub_none", {}, 404, "unknown_object", "sub_none"),
        ("cs_none", {}, 404, "unknown_object", "cs_none"),
        ("cus_none", {}, 404, "unknown_object", "cus_none"),
        ("cus_bobs", {}, 409, "claim_conflicts", "names the user bob"),
        ("cus_new", {}, 400, "project_required", "nothing that it bought is held"),
        ("cus_live", {}, 409, "wrong_mode", "other mode"),
        ("in_1", {}, 400, "not_claimable", "sub_"),
    ],
)
async def test_what_cannot_be_claimed_says_why(
    desk: Desk, claiming: Client, object_id: str, more: Json, status: int, code: str, words: str
) -> None:
    """With how to mend it; nothing changes."""
    await desk.side.operations.create_project("maps", "maps", [], actor=ACTOR)
    await _receive(
        desk.ingest,
        _sub("sub_1"),
        _sub("sub_bobs", metadata={"user_id": "bob"}),
        _sub("sub_lost", metadata={"project_id": "none"}),
    )
    desk.ingest.stripe.hold(
        _sub("sub_alien", prices=("price_alien",)),
        stripe.price("price_alien", "prod_alien"),
        stripe.product("prod_alien"),
        stripe.customer("cus_bobs", metadata={"user_id": "bob"}),
        stripe.customer("cus_new"),
        stripe.customer("cus_live", livemode=True),
    )
    answered, problem = await _claim(claiming, object_id, "ada", **more)
    assert (answered, problem["code"]) == (status, code)
    assert words in problem["detail"]
    assert await desk.side.rows("SELECT 1 FROM audit_log WHERE action = 'object.claim'") == []


async def test_a_claim_waits_for_stripe_where_it_needs_it(desk: Desk, claiming: Client) -> None:
    """While Stripe is away what is held is claimed; anything else is 503."""
    await _receive(desk.ingest, _sub())
    desk.ingest.stripe.fault = StripeUnavailableError("away")
    assert (await _claim(claiming, "sub_1", "ada"))[0] == 200
    assert (await _claim(claiming, "sub_2", "ada"))[0] == 503
