"""The console over a real database, and a browser's manners: cookies, form tokens, the origin of a form."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any, Final

from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from common.http import middleware
from common.identifiers import ProjectId
from common.settings import Network, Secret
from tests.support.ingest import Ingest, opened
from tests.support.operating import ADMIN_KEY, NEXT_ADMIN_KEY, Operating, operating_side
from writer.console.assembly import Desk, console
from writer.console.pages import PREFIX
from writer.operations.claims import Claims
from writer.proxies import behind
from writer.reconcile.requests import ReconcileRequests
from writer.relay.presence import Presence
from writer.relay.project_relay import CacheFaultError

_TOKEN: Final = re.compile(r'name="token" value="([^"]+)"')
_HIDDEN: Final = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@dataclass
class Sidecars:
    """Where sidecars say they are; `away`: Redis does not answer."""

    present: list[Presence] = field(default_factory=list)
    away: bool = False

    async def listed(self, project: ProjectId) -> list[Presence]:
        """Those of any project."""
        if self.away:
            raise CacheFaultError("away")
        return self.present


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: status, headers, text."""

    status: int
    headers: Mapping[str, str]
    text: str
    path: str

    @property
    def hidden(self) -> dict[str, str]:
        """What the page's forms send along, by name; of several forms the last."""
        return {name: unescape(value) for name, value in _HIDDEN.findall(self.text)}


@dataclass
class Browser:
    """Asks as a browser does. `operating` and `ingest` stand behind the console."""

    client: TestClient[web.Request, web.Application]
    operating: Operating
    ingest: Ingest
    sidecars: Sidecars
    token: str = ""

    @property
    def origin(self) -> str:
        """Where the console's own pages are."""
        return str(self.client.make_url("/")).rstrip("/")

    async def get(self, path: str, **more: Any) -> Page:
        """A page, wherever it leads; its forms' token is remembered."""
        async with self.client.get(f"{PREFIX}{path}", **more) as response:
            return self._seen(Page(response.status, response.headers, await response.text(), response.url.path_qs))

    async def post(self, path: str, /, **form: str) -> Page:
        """Send a form as one of the console's pages would."""
        return await self.post_with(path, {"Origin": self.origin}, **form)

    async def post_with(self, path: str, headers: Mapping[str, str], /, **form: str) -> Page:
        """The same with headers of the test's choice."""
        sent = {"token": self.token, **form}
        async with self.client.post(f"{PREFIX}{path}", data=sent, headers=headers) as response:
            return self._seen(Page(response.status, response.headers, await response.text(), response.url.path_qs))

    async def sign_in(self, key: str = ADMIN_KEY) -> Page:
        """With an admin key."""
        return await self.post("/sign-in", key=key)

    def _seen(self, page: Page) -> Page:
        found = _TOKEN.search(page.text)
        self.token = self.token if found is None else found[1]
        return page


@asynccontextmanager
async def console_over(
    operating: Operating, ingest: Ingest, keys: tuple[str, ...] = (ADMIN_KEY, NEXT_ADMIN_KEY),
    proxies: tuple[Network, ...] = (),
) -> AsyncIterator[Browser]:  # fmt: skip
    """A console of one writer; another on the same database is another writer."""
    ground, sidecars = (ingest.engine, ingest.transactions, ingest.recompute), Sidecars()
    claims = Claims(*ground, ingest.applier, ingest.stripe, ingest.relay.notify, livemode=False)
    requests = ReconcileRequests(operating.transactions, lambda: None)
    secrets = tuple(map(Secret, keys))
    desk = Desk(operating.auth, secrets, operating.operations, claims, sidecars, requests, operating.clock)
    app = web.Application(middlewares=[*behind(proxies), middleware])
    app.add_subapp(PREFIX, console(desk))
    async with TestClient(TestServer(app), cookie_jar=CookieJar(unsafe=True)) as client:
        yield Browser(client, operating, ingest, sidecars)


@asynccontextmanager
async def console_on(database_url: str) -> AsyncIterator[Browser]:
    """A console, signed in to; the project is `shop`."""
    async with (
        opened(database_url) as ingest,
        operating_side(database_url) as operating,
        console_over(operating, ingest) as browser,
    ):
        await browser.sign_in()
        yield browser
