"""Large answers are compressed for who takes it, and only where a stranger learns nothing by their length."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from common.http import json_response
from writer.compression import compression

LARGE = {"rows": ["entitlement"] * 2_000}


async def _large(_: web.Request) -> web.Response:
    return json_response(LARGE)


async def _small(_: web.Request) -> web.Response:
    return json_response({"status": "ok"})


async def _page(_: web.Request) -> web.Response:
    return web.Response(text="<p>secret</p>" * 2_000, content_type="text/html")


@pytest.fixture
async def client() -> AsyncIterator[TestClient[Any, Any]]:
    """A client that shows answers as they were sent."""
    app = web.Application(middlewares=[compression])
    app.add_routes([web.get("/large", _large), web.get("/small", _small), web.get("/page", _page)])
    async with TestClient(TestServer(app), auto_decompress=False) as asking:
        yield asking


async def test_large_answers_are_compressed_for_who_takes_it(client: TestClient[Any, Any]) -> None:
    """With `Accept-Encoding` a long list takes a fraction; without it, it is sent as it is."""
    packed = await client.get("/large", headers={"Accept-Encoding": "gzip"})
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert int(packed.headers["Content-Length"]) == len(await packed.read()) < 2_000
    plain = await client.get("/large", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert await plain.json() == LARGE


@pytest.mark.parametrize("path", ["/small", "/page"])
async def test_nothing_else_is_compressed(client: TestClient[Any, Any], path: str) -> None:
    """What is small gains nothing, and pages hold a form's secret."""
    answer = await client.get(path, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers
