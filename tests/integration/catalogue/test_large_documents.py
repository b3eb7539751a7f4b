"""Users with thousands of purchases: their documents stay readable, and where they cannot, nobody else suffers."""

from typing import Any

from common import document as documents
from common.document import MAX_DOCUMENT_BYTES
from tests.support import stripe_objects as stripe
from tests.support.holders import bought
from tests.support.ingest import Ingest, opened
from tests.support.operating import Operating


async def put(side: Operating, feature: dict[str, Any]) -> None:
    """One price that gives ten of a limit."""
    body = {"features": {"calls": feature}, "plans": {"price_1": {"features": {"calls": 10}}}}
    assert (await side.call("PUT", "/api/v1/admin/projects/shop/catalog", body))[0] == 200


async def recompute(side: Operating, user: str) -> tuple[int, Any]:
    """Have a user computed again."""
    return await side.call("POST", "/api/v1/admin/recompute", {"project_id": "shop", "user_id": user})


async def test_what_can_never_matter_is_left_out_of_a_large_document(side: Operating) -> None:
    """Eight thousand lifetime purchases of one price answer like the newest of them."""
    shop = await side.project()
    await put(side, {"kind": "limit"})
    await bought(side, "shop", "hoarder", 8_000, "price_1")
    assert (await recompute(side, "hoarder"))[0] == 200
    _, held = await side.call("GET", "/api/v1/entitlements?user_id=hoarder", headers=shop)
    # Of the last minutes more are kept: a reader's clock may be behind.
    assert held["entitlements"][0]["source_ref"] == "cs_hoarder1"
    assert len(held["entitlements"]) < 10
    await bought(side, "shop", "buyer", 300, "price_1")
    assert (await recompute(side, "buyer"))[0] == 200
    _, held = await side.call("GET", "/api/v1/entitlements?user_id=buyer", headers=shop)
    assert len(held["entitlements"]) == 300


async def test_a_document_that_stays_too_large_is_refused(side: Operating) -> None:
    """A summed limit needs all its rows: nothing is written, the caller is told why, and others go on."""
    await side.project()
    await put(side, {"kind": "limit", "combine": "sum"})
    await bought(side, "shop", "hoarder", 8_000, "price_1")
    status, problem = await recompute(side, "hoarder")
    assert (status, problem["code"]) == (409, "document_too_large")
    assert "in 8000 rows" in problem["detail"]
    await bought(side, "shop", "collector", 6_000, "price_1")
    assert (await recompute(side, "collector"))[0] == 200
    ((body,),) = await side.rows("SELECT body FROM outbox WHERE op = 'user'")
    encoded = documents.encode(documents.from_json(body))
    assert len(encoded) < MAX_DOCUMENT_BYTES
    assert len(documents.decode(encoded).entitlements) == 6_000


async def test_a_combining_rule_that_changes_brings_rows_back(side: Operating) -> None:
    """What was left out under `max` counts under `sum`."""
    shop = await side.project()
    await put(side, {"kind": "limit"})
    await bought(side, "shop", "collector", 5_000, "price_1")
    await recompute(side, "collector")
    await put(side, {"kind": "limit", "combine": "sum"})
    jobs = side.jobs()
    while await jobs.step():
        pass
    _, answer = await side.call("GET", "/api/v1/check?user_id=collector&feature=calls", headers=shop)
    assert answer["value"] == 50_000


async def test_an_event_whose_document_is_too_large_is_parked_at_once(database_url: str) -> None:
    """Asking again would not help; its reason is kept with it, and another user's event is applied."""
    async with opened(database_url) as ingest:
        await _sum(ingest)
        await ingest.query(_HOARD, p=ingest.project_id)
        sent = stripe.event("customer.subscription.created", stripe.subscription("sub_1"))
        await ingest.deliver(sent)
        ((status, error),) = await ingest.query("SELECT status, last_error FROM webhook_events")
        assert status == "parked"
        assert "a user's entitlements would need" in error
        other = stripe.subscription("sub_2", customer="cus_2", metadata={"user_id": "bob", "project_id": "shop"})
        await ingest.deliver(stripe.event("customer.subscription.created", other))
        assert list(await ingest.held("bob")) == ["sub_2 export"]


async def _sum(ingest: Ingest) -> None:
    """Let the catalogue in force sum a limit that a one-time price gives."""
    await ingest.query("""
        UPDATE catalog_versions SET definition = jsonb_set(jsonb_set(definition, '{features,calls}',
            '{"kind": "limit", "default": null, "combine": "sum", "on_stale": null}'), '{plans}',
            definition->'plans' || '[{"target": "price_calls", "origin": "catalog", "rank": 0,
                "features": [{"code": "calls", "value": 1, "per_unit": false}]}]')""")


_HOARD = """
WITH u AS (INSERT INTO users (project_id, user_id) VALUES (:p, 'ada') RETURNING id),
p AS (INSERT INTO purchases (id, user_id, mode, payment_status, amount_total, currency, completed_at, livemode)
    SELECT 'cs_' || n, 'ada', 'payment', 'paid', 100, 'eur', now(), false FROM generate_series(1, 8000) n RETURNING id)
INSERT INTO purchase_lines (id, purchase_id, user_ref, price_id, product_id, quantity, amount_total)
SELECT 'li_' || p.id, p.id, u.id, 'price_calls', 'prod_calls', 1, 100 FROM p, u
"""
