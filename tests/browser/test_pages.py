"""Every page, for everybody: in light and dark, on a phone, by keyboard, without scripts."""

import os
import re
from pathlib import Path
from typing import Any, Final, cast

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from tests.browser.pages import addresses
from tests.browser.tab import PHONE, WIDE, Tab, opened_tab
from tests.support import planted_faults as faults
from tests.support.planted_faults import Site
from writer.console.assembly import Desk, console

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(120),  # the first one starts the site and the browser
]

WCAG: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
BUT_CONTRAST: Final = {"runOnly": WCAG, "rules": {"color-contrast": {"enabled": False}}, "resultTypes": ["violations"]}
CONTRAST: Final = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
"""Takes longest, and all pages have the same colours."""


async def _seen(tab: Tab, options: object) -> list[str]:
    """What axe finds on the page, in words."""
    found = await Axe().run(tab.page, options=options)
    return [f"{tab.page.url} {line}" for line in found.generate_report().splitlines()] if found.violations_count else []


async def _contrast(tab: Tab) -> list[str]:
    """In light and in dark."""
    found: list[str] = []
    for scheme in ("dark", "light"):
        await tab.page.emulate_media(color_scheme=scheme)
        found += await _seen(tab, CONTRAST)
    return found


def _unseen(looked_at: list[str]) -> list[str]:
    """Pages of the console that no address is of."""
    nothing = cast("Any", None)
    app = console(Desk(nothing, (), nothing, nothing, nothing, nothing, nothing))
    paths = {path.partition("?")[0] for path in looked_at}
    gets = {one.resource.canonical for one in app.router.routes() if one.method == "GET" and one.resource is not None}
    patterns = {path: re.sub(r"\{\w+\}", "[^/]+", path) for path in gets - {"/", "/sign-in", "/static/{file}"}}
    return [path for path, pattern in patterns.items() if not any(re.fullmatch(pattern, one) for one in paths)]


async def test_every_page_is_there_for_everybody(site: Site, tab: Tab) -> None:
    """Labels, headings, landmarks, tables by axe; the contrast in light and dark; on a phone tables alone scroll."""
    looked_at = await addresses(site)
    assert _unseen(looked_at) == []
    alike = re.compile(
        r"/recompute|/rotate|/keys/\d+/revoke|/events/replay|/release|&at="
    )  # as others, but for the words
    found: list[str] = []
    for path in looked_at:
        await tab.open(path)
        found += [] if alike.search(path) else await _seen(tab, BUT_CONTRAST)
        await tab.page.set_viewport_size(PHONE)
        widths = await tab.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        found += [f"{path} is {widths[0]} wide on a phone"] if widths[0] > widths[1] else []
        await tab.page.set_viewport_size(WIDE)
        if path == "":
            found += await _contrast(tab)
    assert found == []


async def test_the_keyboard_is_enough(site: Site, tab: Tab) -> None:
    """From skipping the navigation to a refused and a made grant; where the focus is, is always seen."""
    page = tab.page
    await page.keyboard.press("Tab")
    assert await _focused(tab) == "Skip to the page"
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert "events parked" in await _focused(tab)
    await tab.open(f"/customers/user?project_id={site.project}&user_id=kay&feature={site.bought_feature}")
    seen: list[str] = []
    while "Show what it would change" not in seen:
        await page.keyboard.press("Tab")
        seen.append(await _focused(tab))
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", seen[-1]
        assert len(seen) < 60, seen
    assert seen.index("Sign out") < seen.index("Overview") < seen.index("Audit") < seen.index("Show")
    # A script may have sent it without a reason: the browser alone would not.
    await page.evaluate("document.querySelector('form.stack').noValidate = true")
    await page.keyboard.press("Enter")
    await tab.says("Nothing was done.")
    assert "Nothing was done." in await _focused(tab)
    assert await _contrast(tab) == []
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.keyboard.type("typed by hand")
    await page.keyboard.press("Enter")
    await tab.headed("Grant")
    await page.get_by_role("button", name="Grant it").focus()
    await page.keyboard.press("Enter")
    await tab.says("The grant is made.")
    tab.complaints.clear()  # the refusal's status stands there as an error


async def _focused(tab: Tab) -> str:
    """What the element says that has the focus."""
    said: str = await tab.page.evaluate("document.activeElement.innerText || document.activeElement.id")
    return said.strip()


async def test_pages_work_without_scripts(site: Site, chromium: Browser) -> None:
    """Signing in, a grant with its confirmation, and signing out."""
    async with opened_tab(chromium, site.admin, java_script_enabled=False, viewport=PHONE) as tab:
        await tab.sign_in()
        await tab.open(f"/customers/user?project_id={site.project}&user_id=noa")
        await tab.page.get_by_label("Feature", exact=True).select_option(site.bought_feature)
        await tab.fill("Reason", "no scripts")
        await tab.press("Show what it would change")
        await tab.press("Grant it")
        await tab.says("The grant is made.")
        await tab.press("Sign out")
        await tab.headed("Sign in")
        await tab.open("/audit")
        await tab.headed("Sign in")
        assert tab.complaints == []


async def test_pictures_for_the_documents(site: Site, tab: Tab, tmp_path: Path) -> None:
    """docs/console.md shows these; `make pictures` puts them there, any other run makes them aside."""
    folder = Path(os.environ.get("PICTURES", tmp_path))
    planted = await faults.feature_removed(site, "fay")
    await faults.expired_grant(site, "fay")
    await tab.page.set_viewport_size({"width": 1000, "height": 700})
    await tab.page.reload()
    await tab.page.screenshot(path=folder / "overview.png")
    await tab.open(f"/customers/user?project_id={site.project}&user_id={planted.user}")
    await tab.page.screenshot(path=folder / "customer.png")
    await tab.follow("Take the version before as a draft")
    await tab.press("Show what it would change")
    await tab.says("What the edit would do")
    await tab.page.screenshot(path=folder / "catalogue.png")
    await tab.press("Put it in force")
    await tab.says("The catalogue is in force.")
    await tab.page.set_viewport_size(PHONE)
    await tab.open("")
    await tab.page.screenshot(path=folder / "phone.png")
    names = ("overview", "customer", "catalogue", "phone")
    assert all((folder / f"{name}.png").stat().st_size < 150_000 for name in names)
