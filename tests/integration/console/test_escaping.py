"""Nothing that came from outside becomes part of a page but as text."""

import json
from html import escape
from urllib.parse import quote

import pytest

from tests.support import stripe_objects as stripe
from tests.support.console import Browser
from tests.support.stripe_objects import NOW

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'&{{7*7}}"
USER = f"eve{EVIL}"


async def test_whoever_is_called_like_code_is_shown_as_text(browser: Browser) -> None:
    """User ids, reasons, names, events' types and payloads, search words, addresses: on every page that shows them."""
    ingest, operations = browser.ingest, browser.operating.operations
    named = stripe.subscription("sub_evil", metadata={"user_id": USER}, description=EVIL)
    sent = stripe.event("customer.subscription.updated", named)
    await ingest.deliver(sent)
    await ingest.query("UPDATE products SET name = :name WHERE id = 'prod_pro'", name=EVIL)
    nobodys = stripe.subscription("sub_evil_2", metadata={}, customer="cus_evil")
    await ingest.deliver(stripe.event("customer.subscription.updated", nobodys, NOW + 1))
    await browser.get(f"/customers/user?project_id=shop&user_id={quote(USER)}")
    form = {"project_id": "shop", "user_id": USER, "feature": "archive", "value": "", "valid_to": "", "reason": EVIL}
    asked = await browser.post("/customers/grant", **form)
    await browser.post("/customers/grant", **{**form, **asked.hidden})
    await browser.get("/projects")
    await browser.post("/projects", project_id="evil", name=EVIL, return_hosts="")
    assert (await operations.project("evil")).name == EVIL
    pages = {
        "the customer": await browser.get(f"/customers/user?project_id=shop&user_id={quote(USER)}"),
        "as a question": asked,
        "search": await browser.get(f"/customers?q={quote(USER)}"),
        "no hit": await browser.get(f"/customers?q={quote('zz' + EVIL)}"),
        "an event": await browser.get(f"/events/{sent['id']}"),
        "no event": await browser.get(f"/events/{quote(EVIL, safe='')}"),
        "a filter": await browser.get(f"/events?type={quote(EVIL)}&since={quote(EVIL)}"),
        "nobody's": await browser.get("/unassigned"),
        "projects": await browser.get("/projects"),
        "a project": await browser.get("/projects/evil"),
        "audit": await browser.get(f"/audit?subject={quote('user:' + USER)}"),
        "a draft": await browser.post("/catalogue/shop", version="1", catalog=f"features: [{EVIL}]"),
        "no page": await browser.get(f"/{quote(EVIL, safe='')}"),
    }
    for name, page in pages.items():
        assert "<script>alert" not in page.text, name
        assert "<img" not in page.text, name
    for name in (
        "the customer",
        "as a question",
        "search",
        "no hit",
        "a filter",
        "nobody's",
        "projects",
        "a project",
        "audit",
    ):
        assert escape(EVIL, quote=False)[:20] in page_text(pages[name].text), name
    assert escape(json.dumps(EVIL), quote=False)[:30] in page_text(pages["an event"].text)


def page_text(text: str) -> str:
    """Jinja2 writes quotes as numbers."""
    return text.replace("&#34;", '"').replace("&#39;", "'")


@pytest.mark.parametrize("user", ["a b", "../x", "a/b", "üß", "a&user_id=b", "a#b", "100%", "+", " a", "a:b"])
async def test_links_lead_to_the_user_whatever_the_id(browser: Browser, user: str) -> None:
    """From search to the page, through a grant, and back to the same user."""
    form = {"project_id": "shop", "user_id": user, "feature": "export", "value": "", "valid_to": "", "reason": "x"}
    await browser.get("/customers")
    asked = await browser.post("/customers/grant", **form)
    done = await browser.post("/customers/grant", **{**form, **asked.hidden})
    assert "The grant is made." in done.text
    assert browser.ingest is not None
    held = await browser.ingest.held(user)
    assert [one.split()[1] for one in held] == ["export"]
    found = await browser.get(f"/customers?q={quote(user)}") if user.strip() == user else done
    address = found.text.partition("/console/customers/user?")[2].partition('"')[0].replace("&amp;", "&")
    page = await browser.get(f"/customers/user?{address}")
    assert f"<title>{escape(user)} in shop" in page.text
