"""The page of the recipe for events: its code as printed, served by an app, which hears what the page is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.recipes import block

FOLDER: Final = Path(__file__).parent
_SECONDS: Final = 30.0  # only there to end a broken test


class Page:
    """An app with one page; `/heard` takes what the page tells."""

    def __init__(self) -> None:
        self.address = ""
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def served(cls) -> AsyncIterator[Self]:
        """Serve on a free port."""
        page = cls()
        app = web.Application()
        app.router.add_get("/login", page._login)
        app.router.add_get("/page", page._page)
        app.router.add_get("/page.js", page._script)
        app.router.add_post("/heard", page._hear)
        async with TestServer(app) as server:
            page.address = f"127.0.0.1:{server.port}"
            yield page

    async def next(self, *names: str) -> dict[str, Any]:
        """What the page tells next under one of these names; anything else is passed over."""
        async with asyncio.timeout(_SECONDS):
            while not (told := await self._heard.get()).keys() & set(names):
                pass
        return told

    async def _login(self, _: web.Request) -> web.Response:
        """Leads to the page; a browser lets no page `fetch` whose own address holds a password."""
        script = '<script>location = location.origin + "/page"</script>'
        return web.Response(text=f"<!doctype html>{script}", content_type="text/html")

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text='<!doctype html><script src="/page.js"></script>', content_type="text/html")

    async def _script(self, _: web.Request) -> web.Response:
        before, after = ((FOLDER / name).read_text(encoding="utf-8") for name in ("before.js", "after.js"))
        script = before + block("events.md", "js") + after
        return web.Response(text=script, content_type="text/javascript")

    async def _hear(self, request: web.Request) -> web.Response:
        self._heard.put_nowait(orjson.loads(await request.read()))
        return web.Response()
