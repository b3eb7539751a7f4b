"""A tab of a real browser with the console in it. It hears what the page complains of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, ViewportSize

from sandbox.clients import Endpoint
from tests.support.waiting import eventually

WIDE: Final[ViewportSize] = {"width": 1200, "height": 800}
PHONE: Final[ViewportSize] = {"width": 360, "height": 740}
_PATIENCE_MS: Final = 20_000


@dataclass
class Tab:
    """`complaints`: what stands in the browser's console, among it every breach of the content security policy."""

    page: Page
    origin: str
    key: str
    complaints: list[str] = field(default_factory=list)

    async def sign_in(self) -> None:
        """As an operator does."""
        await self.open("")
        await self.fill("Admin key", self.key)
        await self.press("Sign in")
        await self.headed("Overview")

    async def open(self, path: str) -> None:
        """A page by its address."""
        await self.page.goto(f"{self.origin}/console{path}")

    async def headed(self, words: str) -> None:
        """Wait for the page with that heading."""
        await self.page.get_by_role("heading", level=1).filter(has_text=words).wait_for()

    async def follow(self, name: str, inside: Locator | None = None) -> None:
        """Click the first link that says so."""
        await (inside or self.page).get_by_role("link", name=name).first.click()

    async def press(self, name: str) -> None:
        """Click a button."""
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def fill(self, label: str, text: str) -> None:
        """Fill in a field by its label."""
        await self.page.get_by_label(label).fill(text)

    def row(self, words: str) -> Locator:
        """The first row of a table that says that."""
        return self.page.get_by_role("row").filter(has_text=words).first

    async def says(self, words: str) -> None:
        """Wait until the page says that."""
        await self.page.get_by_text(words).first.wait_for()

    async def comes_to_say(self, words: str) -> None:
        """Load the page again until it says that."""

        async def look() -> bool:
            await self.page.reload()
            return words in await self.page.inner_text("main")

        await eventually(look)


@asynccontextmanager
async def opened_tab(browser: Browser, admin: Endpoint, **options: Any) -> AsyncIterator[Tab]:
    """A tab with cookies of its own; `options` are the browser context's."""
    context = await browser.new_context(**{"viewport": WIDE, **options})
    context.set_default_timeout(_PATIENCE_MS)
    page = await context.new_page()
    tab = Tab(page, admin.url, admin.key or "")

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            tab.complaints.append(f"{page.url}: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: tab.complaints.append(f"{page.url}: {error}"))
    yield tab
    await context.close()
