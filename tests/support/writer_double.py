"""The three routes of a writer that a sidecar asks, answered from a `History`; with faults on request."""

import asyncio
import gzip
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from common import document as documents
from common import transfer
from common.clock import SystemClock
from common.document import Document
from common.http import middleware
from common.identifiers import UserId
from common.problems import Problem
from common.transfer import ChangesPage
from tests.support.history import START, History

KEY = "project-key-of-shop"


class WriterDouble:
    """`down` answers 503; `kept` says how many of the newest changes are still there; `hold` delays `entitlements`."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.asked: Counter[str] = Counter()
        self.down = False
        self.kept = 1_000_000
        self.page = 1_000
        self.compressed = False
        self.cut = False
        self.rewrite: Callable[[str, bytes], bytes] = lambda _what, body: body
        """Changes what is answered to `snapshot`, `changes` or `entitlements`, as another version would write it."""
        self.hold = asyncio.Event()
        self.hold.set()
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["WriterDouble"]:
        """Serve on a free port."""
        app = web.Application(middlewares=[middleware])
        app.router.add_get("/api/v1/snapshot", self._snapshot)
        app.router.add_get("/api/v1/changes", self._changes)
        app.router.add_get("/api/v1/entitlements", self._entitlements)
        async with TestServer(app) as server:
            self.url = str(server.make_url("/"))
            yield self

    def _admit(self, request: web.Request, what: str) -> None:
        self.asked[what] += 1
        if self.down:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", "down")
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            raise Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", "the key is not known")
        if request.query["project_id"] != self.history.project:
            raise Problem(HTTPStatus.NOT_FOUND, "unknown_project", "no such project")

    async def _snapshot(self, request: web.Request) -> web.Response:
        self._admit(request, "snapshot")
        held = [document for document in self.history.documents.values() if document.entitlements]
        lines = [transfer.encode_head(self.history.head()), *map(documents.encode, held)]
        if not self.cut:
            lines.append(transfer.encode_end(len(held)))
        body = self.rewrite("snapshot", b"".join(line + b"\n" for line in lines))
        headers = {"Content-Encoding": "gzip"} if self.compressed else {}
        body = gzip.compress(body) if self.compressed else body
        return web.Response(body=body, content_type=transfer.SNAPSHOT_TYPE, headers=headers)

    async def _changes(self, request: web.Request) -> web.Response:
        self._admit(request, "changes")
        epoch, after = int(request.query["epoch"]), int(request.query["after"])
        for _ in range(int(float(request.query["wait"]) * 100)):
            if self.history.revision != after:
                break
            await asyncio.sleep(0.01)
        history = self.history
        if epoch != history.epoch:
            raise Problem(HTTPStatus.CONFLICT, "epoch_changed", "another epoch")
        if after > history.revision:
            raise Problem(HTTPStatus.CONFLICT, "ahead", "that revision is not committed")
        if after < history.revision - min(self.kept, len(history.changes)):
            raise Problem(HTTPStatus.GONE, "changes_gone", "take a snapshot")
        changes = [change for change in history.changes if change.position.revision > after]
        heartbeat = history.heartbeat(SystemClock().now())
        page = transfer.page_to_json(ChangesPage(changes[: self.page], heartbeat))
        return self._json("changes", page)

    async def _entitlements(self, request: web.Request) -> web.Response:
        self._admit(request, "entitlements")
        await self.hold.wait()
        user = UserId(request.query["user_id"])
        nothing = Document(user, self.history.project, *self.history.position, START, ())
        return self._json("entitlements", documents.to_json(self.history.documents.get(user, nothing)))

    def _json(self, what: str, content: Any) -> web.Response:
        return web.Response(body=self.rewrite(what, orjson.dumps(content)), content_type="application/json")
