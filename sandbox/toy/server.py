"""The toy app's HTTP server: the page, its live feed, and its buttons."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from html import escape
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import urlencode, urlsplit

import orjson
from aiohttp import web

from sandbox.clients import CallError
from sandbox.processes import ProcessError
from sandbox.toy.actions import Actions
from sandbox.toy.backstage import Backstage
from sandbox.toy.feed import Feed, Follower

HOST: Final = "127.0.0.1"
HERE: Final = Path(__file__).parent
FILES: Final = {"page.css": "text/css", "page.js": "text/javascript"}
DEFAULT_USER: Final = "ada"
USER: Final = re.compile(r"[A-Za-z0-9_.@:-]{1,64}")
SHUTDOWN_S: Final = 0.5
MOST_FOLLOWED: Final = 20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Toy:
    """The app on `port`, for the stack's app Notes. `public_url`: where a browser reaches it, if not at `host`."""

    def __init__(self, stack: Backstage, port: int, *, host: str = HOST, public_url: str | None = None) -> None:
        self.url = public_url or f"http://{host}:{port}/"
        self._host = host
        self._port = port
        self._stack = stack
        self._actions = Actions(stack, self.url)
        self._notices: dict[str, str] = {}
        self._streams: set[asyncio.Task[None]] = set()
        self._followers: dict[str, Follower] = {}
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Toy"]:
        """Serve until left."""
        runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
            yield self
        finally:
            for stream in self._streams:
                stream.cancel()
            await runner.cleanup()
            await asyncio.gather(*(follower.end() for follower in self._followers.values()))

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._page)
        app.router.add_get(r"/{name:page\.(?:css|js)}", self._file)
        app.router.add_get("/events", self._events)
        app.router.add_get("/return", self._return)
        app.router.add_post("/pay", self._pay)
        app.router.add_post(r"/{act:cancel|refund}", self._act)
        app.router.add_post(r"/parts/{name:redis|writer}/{act:kill|start}", self._part)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Only this page may press the buttons: not another site that is open in the same browser."""
        if urlsplit(f"//{request.host}").hostname not in {HOST, "localhost"}:
            raise web.HTTPMisdirectedRequest(text="ask for 127.0.0.1 or localhost")
        origin = request.headers.get("Origin")
        if request.method == "POST" and origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="this button belongs to the toy app's own page")
        return await handler(request)

    async def _page(self, request: web.Request) -> web.Response:
        template = Template((HERE / "page.html").read_text(encoding="utf-8"))
        text = template.substitute(user=escape(_user(request.query.get("user"))))
        # A form's redirect to Stripe's page counts as its target, too.
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
            f"base-uri 'none'; frame-ancestors 'none'; form-action 'self' {self._stack.stripe_url}"
        )
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        text = (HERE / name).read_text(encoding="utf-8")
        return web.Response(text=text, content_type=FILES[name], headers={"Cache-Control": "no-store"})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        user = _user(request.query.get("user"))
        feed = Feed(self._stack, user, await self._follower(user), self._notices)
        stream = asyncio.create_task(_sent(feed, response))
        self._streams.add(stream)
        try:
            await stream
        except (asyncio.CancelledError, ConnectionError):
            stream.cancel()
        finally:
            self._streams.discard(stream)
        return response

    async def _pay(self, request: web.Request) -> web.Response:
        form = await request.post()
        user = _user(form.get("user"))
        await self._follower(user)
        try:
            target = await self._actions.checkout(user, once=form.get("what") == "purchase")
        except CallError as error:
            self._notices[user] = _reason(error)
            target = _home(user)
        raise web.HTTPSeeOther(target)

    async def _return(self, request: web.Request) -> web.Response:
        user, session = _user(request.query.get("user")), request.query.get("session_id")
        self._notices[user] = "Nothing was paid."
        if session is not None:
            await self._noted(user, self._actions.confirm(user, session))
        raise web.HTTPSeeOther(_home(user))

    async def _act(self, request: web.Request) -> web.Response:
        user = _user((await request.post()).get("user"))
        act = self._actions.cancel if request.match_info["act"] == "cancel" else self._actions.refund
        await self._noted(user, act(user))
        raise web.HTTPSeeOther(_home(user))

    async def _part(self, request: web.Request) -> web.Response:
        """Kill or start Redis or the writer; once it is done, back to the page."""
        user = _user((await request.post()).get("user"))
        name, act = request.match_info["name"], request.match_info["act"]
        async with self._turn:  # a double click does not start it twice
            try:
                await (self._stack.kill(name) if act == "kill" else self._stack.restart(name))
            except ProcessError as error:
                self._notices[user] = str(error).splitlines()[0]
            else:
                done = "killed" if act == "kill" else "back"
                self._notices[user] = f"{name.capitalize()} is {done}; the answers go on."
        raise web.HTTPSeeOther(_home(user))

    async def _follower(self, user: str) -> Follower:
        """Who times this user's changes; the user of longest ago makes room."""
        if user not in self._followers and len(self._followers) == MOST_FOLLOWED:
            await self._followers.pop(next(iter(self._followers))).end()
        follower = self._followers.pop(user, None) or Follower(self._stack, user)
        self._followers[user] = follower
        return follower

    async def _noted(self, user: str, work: Awaitable[str]) -> None:
        try:
            self._notices[user] = await work
        except CallError as error:
            self._notices[user] = _reason(error)


async def _sent(feed: Feed, response: web.StreamResponse) -> None:
    async for state in feed.states():
        await response.write(b"data: " + orjson.dumps(state) + b"\n\n")


def _user(text: object) -> str:
    return text if isinstance(text, str) and USER.fullmatch(text) else DEFAULT_USER


def _home(user: str) -> str:
    return f"/?{urlencode({'user': user})}"


def _reason(error: CallError) -> str:
    if error.status is None:
        return "The writer cannot be reached. What is paid is not lost: Stripe tells it again when it is back."
    detail = error.body.get("detail") if isinstance(error.body, dict) else None
    return str(detail or f"{HTTPStatus(error.status).phrase} ({error.status})")
