"""What operators do in the console is done, first shown with its effect, and refused with the reason at the field."""

import json
from html import unescape
from typing import Any

import pytest

from tests.support import stripe_objects as stripe
from tests.support.console import Browser, Page
from tests.support.stripe_objects import NOW
from writer.gateway.errors import StripeRefusedError
from writer.relay.presence import Presence

pytestmark = pytest.mark.asyncio(loop_scope="session")

UPDATED = "customer.subscription.updated"


async def audited(browser: Browser, subject: str) -> list[tuple[Any, ...]]:
    """What stands in the audit log of a subject."""
    query = "SELECT action, reason FROM audit_log WHERE subject = :subject AND actor LIKE 'admin-key:%' ORDER BY id"
    return await browser.operating.rows(query, subject=subject)


async def confirmed(browser: Browser, path: str, page: Page, **more: str) -> Page:
    """Say yes."""
    return await browser.post(path, **{**page.hidden, **more})


def told(page: Page) -> str:
    """The page's text as people read it, without tags that would be in the way."""
    return " ".join(unescape(page.text).split())


async def test_a_grant_is_shown_made_once_and_taken_back(browser: Browser) -> None:
    """Sent twice it is one; taking it back asks for a reason."""
    await browser.get("/customers/user?project_id=shop&user_id=gus")
    form = {"project_id": "shop", "user_id": "gus", "feature": "archive", "value": "", "valid_to": "2027-01-01T00:00"}
    asked = await browser.post("/customers/grant", **form, reason="ticket 5")
    assert "gus is given archive in shop, until 2027-01-01T00:00:00Z" in told(asked)
    assert ("denied: not granted" in told(asked), "allowed" in told(asked)) == (True, True)
    assert await browser.ingest.held("gus") == {}
    done = await confirmed(browser, "/customers/grant", asked)
    again = await confirmed(browser, "/customers/grant", asked)
    assert ("The grant is made." in done.text, "had been made already" in again.text) == (True, True)
    ((ref, ends),) = (await browser.ingest.held("gus")).items()
    assert ends == "2027-01-01T00:00:00Z"
    number = ref.split()[0]
    asked = await browser.get(f"/customers/revoke?project_id=shop&user_id=gus&grant_id={number}")
    assert f"Grant {number} of gus in shop ends now" in told(asked)
    refused = await confirmed(browser, "/customers/revoke", asked, reason=" ")
    assert (refused.status, 'id="reason-fault"' in refused.text) == (400, True)
    assert await browser.ingest.held("gus")
    done = await confirmed(browser, "/customers/revoke", refused, reason="over")
    assert ("The grant is taken back." in done.text, await browser.ingest.held("gus")) == (True, {})
    assert await audited(browser, "user:gus") == [("grant.create", "ticket 5"), ("grant.revoke", "over")]
    assert "right already" in (await browser.post("/customers/recompute", project_id="shop", user_id="gus")).text


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"reason": ""}, "reason", "reason must have"),
        ({"feature": "nope"}, "feature", "is no feature of shop"),
        ({"value": "5"}, "value", "a plain feature has no value"),
        ({"valid_to": "2020-01-01T00:00"}, "valid_to", "must be after valid_from"),
        ({"valid_to": "soon"}, "valid_to", "RFC 3339"),
    ],
)
async def test_a_wrong_field_is_named_and_what_was_filled_in_stays(
    browser: Browser, wrong: dict[str, str], field: str, words: str
) -> None:
    """The summary leads to the field, the field points at the reason; nothing is done."""
    form = {"project_id": "shop", "user_id": "hal", "feature": "export", "value": "", "valid_to": "", "reason": "why"}
    await browser.get("/customers/user?project_id=shop&user_id=hal")
    for more in ({}, {"confirmed": "yes"}):
        page = await browser.post("/customers/grant", **{**form, **wrong, **more})
        assert page.status in {400, 404}
        assert f'<a href="#{field}">' in page.text
        assert f'id="{field}-fault"' in page.text
        assert f"{field}-fault" in page.text.partition('aria-invalid="true" aria-describedby="')[2].partition('"')[0]
        assert words in told(page)
        assert 'value="why"' in page.text or field == "reason"
    assert await browser.ingest.held("hal") == {}


async def test_an_event_is_found_replayed_and_a_bad_filter_named(browser: Browser) -> None:
    """One, and all that a filter means; the payload stands on its page."""
    ingest = browser.ingest
    sent = stripe.thin_event("subscription", "sub_parked")
    ingest.stripe.fault = StripeRefusedError("boom", "not today")
    await ingest.deliver(sent)
    ingest.stripe.fault = None
    listed = await browser.get("/events?status=parked&object_id=sub_parked")
    assert sent["id"] in listed.text
    page = await browser.get(f"/events/{sent['id']}")
    assert ("parked" in told(page), json.dumps(sent["type"]) in told(page)) == (True, True)
    asked = await browser.get("/events/replay?status=parked&object_id=sub_parked")
    assert "1 events of 1 objects are pending again" in told(asked)
    done = await confirmed(browser, "/events/replay", asked, reason="mended")
    assert "pending again" in done.text
    assert (await ingest.statuses())[sent["id"]] == "pending"
    asked = await browser.get(f"/events/replay?event_id={sent['id']}")
    assert (await confirmed(browser, "/events/replay", asked)).path.startswith(f"/console/events/{sent['id']}")
    assert await audited(browser, "event:many") == [("event.replay", "mended")]
    assert await audited(browser, f"event:{sent['id']}") == [("event.replay", None)]
    for query, field in (("status=lost", "form"), ("since=soon", "since"), ("until=1", "until")):
        page = await browser.get(f"/events?{query}")
        assert (page.status, f'href="#{field}"' in page.text) == (400, field != "form")


async def test_what_is_nobodys_is_claimed(browser: Browser) -> None:
    """The list leads to the form, the form to what it would do; what cannot be says why at the field."""
    await browser.ingest.deliver(stripe.event(UPDATED, stripe.subscription("sub_lost", metadata={}, customer="cus_9")))
    assert "sub_lost" in (await browser.get("/unassigned?project_id=shop")).text
    await browser.get("/unassigned/claim?object_id=sub_lost")
    form = {"object_id": "sub_lost", "user_id": "ida", "project_id": "", "reason": "asked"}
    asked = await browser.post("/unassigned/claim", **form)
    assert "nobody's now, is ida's in shop from now on" in told(asked)
    assert await browser.ingest.held("ida") == {}
    done = await confirmed(browser, "/unassigned/claim", asked)
    assert "The claim is made." in done.text
    assert list(await browser.ingest.held("ida")) == ["sub_lost export"]
    assert await audited(browser, "object:sub_lost") == [("object.claim", "asked")]
    for wrong, field in (
        ({"object_id": "in_1"}, "object_id"),
        ({"user_id": ""}, "user_id"),
        ({"project_id": "no"}, "project_id"),
    ):
        page = await browser.post("/unassigned/claim", **{**form, **wrong, "confirmed": "yes"})
        assert (page.status in {400, 404}, f'id="{field}-fault"' in page.text) == (True, True), field


async def test_keys_are_shown_once_rotated_and_revoked(browser: Browser) -> None:
    """The secret stands on one page and nowhere else; whether a key is in use is said before it ends."""
    await browser.get("/projects")
    await browser.post("/projects", project_id="keys", name="Keys", return_hosts="a.example.com b.example.com")
    made = await browser.post("/projects/keys/keys", app="web", expires_at="")
    secret = made.text.partition('readonly value="')[2].partition('"')[0]
    assert (secret.startswith("bk_"), made.headers["Cache-Control"]) == (True, "no-store")
    (key,) = await browser.operating.operations.list_keys("keys")
    listed = await browser.get("/projects/keys")
    assert (key.prefix in listed.text, secret in listed.text) == (True, False)
    asked = await browser.get(f"/projects/keys/keys/{key.id}/rotate")
    rotated = await confirmed(browser, f"/projects/keys/keys/{key.id}/rotate", asked, overlap_seconds="3600")
    assert "is shown this once" in told(rotated)
    wrong = await confirmed(browser, f"/projects/keys/keys/{key.id}/rotate", asked, overlap_seconds="7")
    assert wrong.status == 400
    asked = await browser.get(f"/projects/keys/keys/{key.id}/revoke")
    assert "was never used" in told(asked)
    done = await confirmed(browser, f"/projects/keys/keys/{key.id}/revoke", asked, reason="leaked")
    assert "The key is revoked" in done.text
    assert [row[0] for row in await audited(browser, f"key:{key.id}")] == ["key.create", "key.rotate", "key.revoke"]
    page = await browser.post("/projects/keys/keys", app="a b", expires_at="")
    assert ('id="app-fault"' in page.text, 'value="Keys"' in page.text) == (True, True)
    page = await browser.post("/projects/keys", name="New", return_hosts="https://x", portal_configuration="")
    assert (page.status, 'id="return_hosts-fault"' in page.text) == (400, True)
    await browser.post("/projects/keys", name="New", return_hosts="c.example.com", portal_configuration="bpc_1")
    project = await browser.operating.operations.project("keys")
    assert (project.name, project.return_hosts, project.portal_configuration) == ("New", ("c.example.com",), "bpc_1")
    asked = await browser.get("/projects/keys/recompute")
    assert "0 users are computed again" in told(asked)
    assert "A job was made" in (await confirmed(browser, "/projects/keys/recompute", asked)).text
    assert (await browser.get("/projects/keys/keys/9999/revoke")).status == 404


async def test_a_catalogue_is_edited_by_its_effect_and_taken_back(browser: Browser) -> None:
    """Faults name lines; what would change is told; what changed meanwhile is told anew; an old version is a draft."""
    await browser.get("/projects")
    await browser.post("/projects", project_id="cat", name="Cat", return_hosts="")
    page = await browser.get("/catalogue/cat")
    first = page.hidden["version"]
    for text, words in (("features: [", "line 1"), ("plans: {x: {}}", "plans.x"), ("[]", "must be a mapping")):
        page = await browser.post("/catalogue/cat", version=first, catalog=text)
        assert (page.status, words in told(page), 'id="catalog-fault"' in page.text) == (400, True, True)
    text = "features: {pro: {}, seats: {kind: limit, default: 2}}\nplans: {prod_cat: {features: {seats: 5}}}"
    shown = await browser.post("/catalogue/cat", version=first, catalog=text)
    assert "feature `pro` is new" in told(shown)
    done = await confirmed(browser, "/catalogue/cat", shown)
    assert "The catalogue is in force." in done.text
    # The same confirmation again is of another catalogue than the one in force now.
    stale = await confirmed(browser, "/catalogue/cat", shown)
    assert (stale.status, "changed meanwhile" in told(stale)) == (409, True)
    whole = json.dumps({"version": 1, "projects": {"cat": {"features": {"seats": {"kind": "limit"}}}}})
    shown = await browser.post("/catalogue/cat", version=stale.hidden["version"], catalog=whole)
    assert "feature `pro` is deleted" in told(shown)
    await confirmed(browser, "/catalogue/cat", shown)
    draft = await browser.get("/catalogue/cat?version=2")
    assert "pro:" in draft.text.partition("<textarea")[2].partition("</textarea>")[0]
    assert (await browser.get("/catalogue/cat?version=99")).status == 404
    assert (await browser.get("/catalogue/cat?version=x")).status == 400
    other = await browser.post("/catalogue/cat", version="1", catalog='{"version": 1, "projects": {"shop": {}}}')
    assert "must hold cat and no other project" in told(other)
    log = await browser.get("/audit?project_id=cat&action=catalog.*")
    assert log.text.count("<td>catalog.commit</td>") == 2


async def test_people_are_found_by_whatever_is_at_hand(browser: Browser) -> None:
    """User id or its beginning, subscription, purchase, customer, payment, grant, event; nobody's too."""
    ingest = browser.ingest
    mine = {"user_id": "kim-1"}
    bought = stripe.session("cs_kim", customer="cus_kim", payment_intent="pi_kim", metadata=mine)
    sent = stripe.event(UPDATED, stripe.subscription("sub_kim", customer="cus_kim", metadata=mine))
    ingest.stripe.hold(bought)
    await ingest.deliver(sent, stripe.event("checkout.session.completed", bought))
    await ingest.deliver(stripe.event(UPDATED, stripe.subscription("sub_nobody", metadata={}, customer="cus_n")))
    for words in ("kim-1", "kim", "sub_kim", "cs_kim", "cus_kim", "pi_kim", sent["id"], " kim-1 "):
        page = await browser.get("/customers", params={"q": words, "project_id": "shop"})
        assert ">kim-1</a>" in page.text, words
    assert "nobody&#39;s" in (await browser.get("/customers", params={"q": "sub_nobody"})).text
    for words in ("sub_none", "9" * 30, "%", "\\", "in_1", "re_1", "du_1"):
        page = await browser.get("/customers", params={"q": words})
        assert (page.status, "0 found" in page.text) == (200, True), words


async def test_the_overview_and_the_sidecars_say_what_waits(browser: Browser) -> None:
    """Counts, a table beside each chart, and sidecars in words; without Redis the rest is shown all the same."""
    head = (await browser.operating.operations.project("shop")).position
    now = browser.operating.clock.now() / 1_000_000
    facts = {"epoch": head.epoch, "revision": head.revision, "complete": True, "mode": "redis", "age_ms": 3}
    browser.sidecars.present = [Presence("<good>", now, head, facts), Presence("gone", now - 60, None, {})]
    page = await browser.get("")
    assert page.text.count("<svg") == page.text.count("as a table</summary>") >= 2
    page = await browser.get("/sidecars?project_id=shop")
    assert ("in step" in told(page), "silent" in told(page), "&lt;good&gt;" in page.text) == (True, True, True)
    browser.sidecars.away = True
    try:
        assert "Redis does not answer" in (await browser.get("")).text
        assert "Redis does not answer" in (await browser.get("/sidecars")).text
        assert "Redis does not answer" in (await browser.get("/customers/user?project_id=shop&user_id=ada")).text
    finally:
        browser.sidecars.away, browser.sidecars.present = False, []


async def test_a_lease_is_freed_only_where_nobody_renews_it(browser: Browser) -> None:
    """The page says how it stands; of one that is renewed it says why not; of one that is stuck it is in the log."""
    query = browser.ingest.query
    await query("INSERT INTO relay_leases (project_id) SELECT id FROM projects WHERE public_id = 'shop'")
    await query("UPDATE relay_leases SET owner = 'gone', expires_at = now() + interval '20 seconds'")
    asked = await browser.get("/sidecars/shop/release")
    assert "gone" in told(asked)
    page = await confirmed(browser, "/sidecars/shop/release", asked, reason="why not")
    assert (page.status, "Nothing was done." in told(page), await audited(browser, "project:shop")) == (409, True, [])
    await query("UPDATE relay_leases SET expires_at = now() + interval '1 day'")
    assert "Free the lease" in told(await browser.get("/sidecars"))
    done = await confirmed(browser, "/sidecars/shop/release", asked, reason="it is gone")
    assert "The lease is free" in told(done)
    assert await audited(browser, "project:shop") == [("relay.release", "it is gone")]


async def test_a_run_is_begun_and_looked_at(browser: Browser) -> None:
    """Asked for twice it is the same run."""
    await browser.get("/reconcile")
    page = await browser.post("/reconcile", full="yes")
    assert (await browser.post("/reconcile", full="yes")).path == page.path
    assert "waiting" in told(page)
    assert "admin-key:" in (await browser.get("/reconcile")).text
    assert (await browser.get("/reconcile/x")).status == 400


async def test_what_would_be_is_shown_and_what_was(browser: Browser) -> None:
    """A cancellation before it is made; a user's page at a time in the past."""
    mine = stripe.subscription("sub_what", metadata={"user_id": "lea"}, start=NOW, end=2_000_000_000)
    await browser.ingest.deliver(stripe.event(UPDATED, mine))
    page = await browser.get("/customers/preview?project_id=shop&user_id=lea&act=cancel_now&object_id=sub_what")
    assert ("What would change" in told(page), "Nothing was done." in told(page)) == (True, True)
    for query, field in (
        ("act=refund&object_id=cs_none", "object_id"),
        ("act=buy&object_id=price_pro&quantity=x", "quantity"),
    ):
        page = await browser.get(f"/customers/preview?project_id=shop&user_id=lea&{query}")
        assert (page.status in {400, 404}, f'id="{field}-fault"' in page.text) == (True, True)
    page = await browser.get("/customers/user?project_id=shop&user_id=lea&at=2020-01-01T00:00")
    assert "at <time" in page.text
    page = await browser.get("/customers/user?project_id=shop&user_id=lea&at=soon")
    assert (page.status, 'href="#at"' in page.text) == (400, True)
