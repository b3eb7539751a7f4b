"""Real proxies in front of an app, run with the configuration files of `docs/recipes`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, web
from aiohttp.test_utils import TestServer

from common.http import json_response
from sandbox.processes import ChildProcess, ProcessConfig
from sandbox.readiness import until_ready

RECIPES: Final = Path(__file__).resolve().parents[2] / "docs" / "recipes"
PROXY, APP, SIDECAR = "127.0.0.1:8080", "127.0.0.1:3000", "127.0.0.1:7070"
"""Addresses as the recipes have them."""

_START_S: Final = 20.0


@dataclass(slots=True)
class App:
    """An app that repeats what reached it."""

    address: str = ""
    requests: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["App"]:
        """Serve on a free port."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._repeat)
        async with TestServer(app) as server:
            self.address = f"127.0.0.1:{server.port}"
            yield self

    async def _repeat(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path_qs}")
        headers = {name.lower(): value for name, value in request.headers.items()}
        return json_response({"headers": headers, "body": await request.text()})


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy and how to ask it."""

    url: str
    session: ClientSession
    process: ChildProcess

    async def ask(self, path: str, method: str = "GET", **options: Any) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON (None where it is none) and headers (in small letters) of an answer."""
        async with self.session.request(method, self.url + path, **options) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            is_json = response.content_type.endswith("json")
            return response.status, await response.json(content_type=None) if is_json else None, headers


def configured(recipe: str, folder: Path, addresses: dict[str, str], *more: tuple[str, str]) -> Path:
    """The recipe's file with other addresses, in a folder; each of `more` replaces a text that must be there."""
    text = (RECIPES / recipe).read_text(encoding="utf-8")
    for old, new in (*addresses.items(), *more):
        assert old in text, f"{recipe} has no {old}"
        text = text.replace(old, new)
    path = folder / recipe
    path.write_text(text, encoding="utf-8")
    return path


@asynccontextmanager
async def proxying(name: str, argv: list[str], folder: Path, port: int) -> AsyncIterator[Proxy]:
    """Run a proxy until it answers anything on its port, and end it afterwards."""
    process = ChildProcess(ProcessConfig(name, tuple(argv), folder / f"{name}.log", cwd=folder, stop_grace_s=2.0))
    url = f"http://127.0.0.1:{port}"
    async with ClientSession() as session:

        async def probe() -> str | None:
            try:
                async with session.get(url):
                    return None
            except ClientError as error:
                return str(error)

        async with process:
            await until_ready(process, probe, _START_S)
            yield Proxy(url, session, process)
