"""Forms are taken from the console's own pages alone, and browsers are told what they may do with an answer."""

from io import BytesIO

import pytest

from tests.support.console import Browser, Page
from writer.console.guard import HEADERS
from writer.console.pages import PREFIX

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/projects"
FORM = {"project_id": "maps", "name": "", "return_hosts": ""}


async def made(browser: Browser) -> bool:
    """Whether the form was taken."""
    return bool(await browser.operating.rows("SELECT 1 FROM projects WHERE public_id = 'maps'"))


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", "http://127.0.0.1:1", "http://127.0.0.1", "file://", "garbage"]
)
async def test_a_form_from_elsewhere_is_refused(browser: Browser, origin: str | None) -> None:
    """With the right token too, and to sign in too; GET never changes anything."""
    await browser.get(PATH)
    headers = {} if origin is None else {"Origin": origin}
    page = await browser.post_with(PATH, headers, **FORM)
    assert (page.status, "foreign_form" in page.text) == (403, True)
    assert (await browser.post_with("/sign-in", headers, key="x")).status == 403
    assert not await made(browser)


async def test_a_form_without_its_sessions_token_is_refused(browser: Browser) -> None:
    """None, a guess, that of another session of the same key: nothing is done."""
    await browser.get(PATH)
    own = browser.token
    await browser.sign_in()
    await browser.get(PATH)
    assert own != browser.token
    for token in ("", "0" * 64, own, "é"):
        page = await browser.post(PATH, **{**FORM, "token": token})
        assert (page.status, "invalid_token" in page.text) == (403, True)
    assert not await made(browser)
    await browser.get(PATH)
    taken = {**FORM, "project_id": "taken"}
    assert (await browser.post(PATH, **taken)).path.startswith("/console/projects/taken")


async def test_a_form_after_the_sessions_end_does_nothing_and_says_so(browser: Browser) -> None:
    """401: what was filled in is not lost without a word."""
    await browser.get(PATH)
    browser.client.session.cookie_jar.clear()
    page = await browser.post(PATH, **FORM)
    assert (page.status, "Nothing was done" in page.text) == (401, True)
    assert not await made(browser)


async def test_what_is_no_form_is_refused(browser: Browser) -> None:
    """JSON, files, too much, what is not UTF-8, what Postgres cannot keep: each with its reason as a page."""
    await browser.get(PATH)
    plain = "application/x-www-form-urlencoded"
    for body, kind, status in (
        (b"{}", "application/json", 415),
        (b"x=1", "text/plain", 415),
        (b"x=" + b"0" * (4 * 1024 * 1024), plain, 413),
        (b"name=%ff", plain, 400),
        (b"name=%00", plain, 400),
        (b"&".join(b"a=%d" % n for n in range(200)), plain, 400),
    ):
        headers = {"Origin": browser.origin, "Content-Type": kind}
        async with browser.client.post(f"{PREFIX}{PATH}", data=BytesIO(body), headers=headers) as answer:
            assert (answer.status, answer.content_type) == (status, "text/html")


async def test_every_answer_keeps_the_browser_strict(browser: Browser) -> None:
    """Pages, errors, redirects, files: no inline script or style, no frame, no cache, nothing for other origins."""

    def check(page: Page) -> None:
        assert {name: page.headers.get(name) for name in HEADERS} == HEADERS
        assert "unsafe" not in page.headers["Content-Security-Policy"]

    missing = ("/nowhere", "/events/evt_none", "/customers/user", "/static/none", "/audit?before=x")
    for path in ("", "/static/console.css", *missing):
        page = await browser.get(path)
        check(page)
        file = path == "/static/console.css"
        assert page.headers["Cache-Control"] == ("no-cache" if file else "no-store")
        assert " style=" not in page.text
        assert " onclick=" not in page.text
        assert page.status in ({400, 404} if path in missing else {200})
    async with browser.client.get(f"{PREFIX}/sign-in", allow_redirects=False) as answer:
        check(Page(answer.status, answer.headers, "", ""))
    async with browser.client.put(f"{PREFIX}/events", headers={"Origin": browser.origin}) as answer:
        assert (answer.status, answer.content_type) == (405, "text/html")
    browser.client.session.cookie_jar.clear()
    check(await browser.get("/sign-in"))


async def test_files_may_be_kept_for_good_by_their_version(browser: Browser) -> None:
    """A page names them with it, so that a new release is seen at once."""
    page = await browser.get("")
    address = page.text.partition('<link rel="stylesheet" href="/console')[2].partition('"')[0]
    file = await browser.get(address)
    assert (file.status, "immutable" in file.headers["Cache-Control"]) == (200, True)
