"""Who is signed in, for how long, and at which writer."""

from ipaddress import ip_network

import pytest
from prometheus_client import CollectorRegistry

from common.clock import SystemClock
from tests.support.console import Browser, Page, console_over
from tests.support.operating import ADMIN_KEY, NEXT_ADMIN_KEY
from writer.console.pages import PREFIX
from writer.console.session import IDLE_SECONDS, LONGEST_SECONDS
from writer.throttle import BURST, Throttle

pytestmark = pytest.mark.asyncio(loop_scope="session")


def cookie(browser: Browser) -> str:
    """What the browser would send."""
    return next((one.value for one in browser.client.session.cookie_jar), "")


def is_in(page: Page) -> bool:
    """Whether a page was shown rather than the form to sign in."""
    return page.status == 200 and "Sign out" in page.text


async def test_a_page_is_shown_to_who_signed_in_and_leads_there(browser: Browser) -> None:
    """Without a session the page that was asked for is kept in mind; with one it comes."""
    browser.client.session.cookie_jar.clear()
    asked = await browser.get("/events?status=parked")
    assert (asked.path, is_in(asked)) == ("/console/sign-in?next=/console/events?status%3Dparked", False)
    shown = await browser.post("/sign-in", key=ADMIN_KEY, next=asked.hidden["next"])
    assert (shown.path, is_in(shown)) == ("/console/events?status=parked", True)
    assert (await browser.get("/sign-in")).path == "/console"


@pytest.mark.parametrize("key", ["guess", "", "bk_" + "0" * 64, "é" * 20, "admin_key_for_tests ", "x" * 5000])
async def test_a_wrong_key_opens_nothing_and_is_not_shown_again(browser: Browser, key: str) -> None:
    """The reason stands at the field. Blanks around a key are a matter of copying, and do not count."""
    browser.client.session.cookie_jar.clear()
    page = await browser.sign_in(key)
    if key.strip() == ADMIN_KEY:
        assert is_in(page)
        return
    assert page.status in {401, 403}
    assert 'id="key-fault"' in page.text
    assert not key or key not in page.text
    assert cookie(browser) == ""


async def test_who_guesses_is_slowed_down_and_the_form_says_for_how_long(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a burst of wrong keys from an address not even the right one is judged for a while."""
    monkeypatch.setattr(browser.operating.auth, "_throttle", Throttle(SystemClock(), CollectorRegistry()))
    async with console_over(browser.operating, browser.ingest) as guessed:
        for _ in range(BURST):
            assert (await guessed.sign_in("guess")).status == 401
        page = await guessed.sign_in(ADMIN_KEY)
        assert page.status == 429
        assert "try again in" in page.text
        assert cookie(guessed) == ""


async def test_the_cookie_is_the_consoles_alone(browser: Browser) -> None:
    """HttpOnly, strict, of its path, with an end; over https, where a trusted proxy says so, secure by its name too."""
    browser.client.session.cookie_jar.clear()
    answer = await browser.client.post(
        f"{PREFIX}/sign-in", data={"key": ADMIN_KEY}, headers={"Origin": browser.origin}, allow_redirects=False
    )
    (morsel,) = answer.cookies.values()
    told = (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["max-age"], morsel["secure"])
    assert told == (True, "Strict", "/console", str(LONGEST_SECONDS), "")
    assert ADMIN_KEY not in morsel.value
    for proxies, secure in (((ip_network("127.0.0.0/8"),), True), ((ip_network("10.0.0.0/8"),), False)):
        async with console_over(browser.operating, browser.ingest, proxies=proxies) as behind:
            headers = {"Origin": behind.origin, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
            answer = await behind.client.post(
                f"{PREFIX}/sign-in", data={"key": ADMIN_KEY}, headers=headers, allow_redirects=False
            )
            (morsel,) = answer.cookies.values()
            assert (morsel.key.startswith("__Secure-"), bool(morsel["secure"])) == (secure, secure)


async def test_the_audit_log_has_the_operators_address_and_not_the_proxys(browser: Browser) -> None:
    """What a trusted proxy says last counts; what the client made up before it does not."""
    async with console_over(browser.operating, browser.ingest, proxies=(ip_network("127.0.0.1/32"),)) as behind:
        told = {"Origin": behind.origin, "X-Forwarded-For": "203.0.113.9, 192.0.2.7"}
        await behind.sign_in()
        await behind.get("/projects")
        await behind.post_with("/projects", told, project_id="proxied", name="", return_hosts="")
    rows = await browser.operating.rows("SELECT actor, origin FROM audit_log WHERE subject = 'project:proxied'")
    assert [(actor.startswith("admin-key:"), origin) for actor, origin in rows] == [(True, "192.0.2.7")]


async def test_a_session_ends_by_rest_and_by_age(browser: Browser) -> None:
    """Use keeps it alive, up to its longest."""
    clock = browser.operating.clock
    clock.ahead += IDLE_SECONDS - 10
    assert is_in(await browser.get("/events"))
    clock.ahead += IDLE_SECONDS - 10
    assert is_in(await browser.get("/events"))
    clock.ahead += IDLE_SECONDS
    assert not is_in(await browser.get("/events"))
    await browser.sign_in()
    for _ in range(LONGEST_SECONDS // (IDLE_SECONDS // 2) - 1):
        clock.ahead += IDLE_SECONDS // 2
        assert is_in(await browser.get("/events"))
    clock.ahead += IDLE_SECONDS // 2
    assert not is_in(await browser.get("/events"))


async def test_every_writer_takes_a_session_until_its_key_is_taken_out(browser: Browser) -> None:
    """A writer that knows the same keys does; one that was started without the key does not, whatever else it knows."""
    held = {"Cookie": f"billing_console={cookie(browser)}"}
    for keys, taken in (((NEXT_ADMIN_KEY, ADMIN_KEY), True), ((NEXT_ADMIN_KEY,), False)):
        async with console_over(browser.operating, browser.ingest, keys) as other:
            assert is_in(await other.get("/events", headers=held)) == taken


async def test_nobody_writes_a_cookie_without_the_key(browser: Browser) -> None:
    """Whatever part is changed, nothing is opened."""
    good = cookie(browser)
    actor, nonce, began, seen, mac = good.split(".")
    bad = [
        "", "x", good[:-1], f"{good}0", good.replace(mac, "0" * 64), f"{actor}.{nonce}.{began}.{int(seen) + 1}.{mac}",
        f"admin-key:00000000.{nonce}.{began}.{seen}.{mac}", f"{actor}..{began}.{seen}.{mac}",
        f"{actor}.{nonce}.{began}.{'9' * 40}.{mac}", f"{actor}.{nonce}.-1.{seen}.{mac}", "é" * 50, "." * 400,
    ]  # fmt: skip
    browser.client.session.cookie_jar.clear()
    for value in bad:
        page = await browser.get("/events", headers={"Cookie": f"billing_console={value}"})
        assert not is_in(page), value
    assert is_in(await browser.get("/events", headers={"Cookie": f"billing_console={good}"}))


async def test_signing_in_twice_is_no_matter(browser: Browser) -> None:
    """As from a second tab that was opened before the first one signed in."""
    browser.token = ""
    assert is_in(await browser.sign_in(NEXT_ADMIN_KEY))


async def test_signing_out_forgets(browser: Browser) -> None:
    """And asks for the key again."""
    page = await browser.post("/sign-out")
    assert page.path == "/console/sign-in"
    assert cookie(browser) == ""
    assert not is_in(await browser.get("/events"))


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/consoles", "/console/sign-in", "/console\n", "x"],
)
async def test_signing_in_leads_to_the_console_only(browser: Browser, wanted: str) -> None:
    """Whatever a link says."""
    browser.client.session.cookie_jar.clear()
    page = await browser.post("/sign-in", key=ADMIN_KEY, next=wanted)
    assert page.path == "/console"


async def test_an_act_stands_in_the_audit_log_as_the_routes_write_it(browser: Browser) -> None:
    """The same name of the same key."""
    await browser.operating.call("POST", "/api/v1/admin/projects", {"project_id": "one"})
    await browser.get("/projects")
    await browser.post("/projects", project_id="two", name="", return_hosts="")
    rows = await browser.operating.rows(
        "SELECT DISTINCT actor, origin FROM audit_log WHERE subject IN ('project:one', 'project:two')"
    )
    assert len(rows) == 1
