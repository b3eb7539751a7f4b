"""What reaches no handler: bytes that are no HTTP, and bodies that are not what their headers say."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web

from common import connection, http
from common.http import json_response, middleware, read_body
from common.listening import listening
from common.settings import TcpAddress

KEY = "a-key-that-nobody-may-see"


async def _length(request: web.Request) -> web.Response:
    return json_response({"length": len(await read_body(request, 1000))})


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Where one route listens, `POST /length`, which takes 1000 bytes."""
    app = web.Application(middlewares=[middleware])
    app.router.add_post("/length", _length)
    async with listening(app, TcpAddress("127.0.0.1", 0)) as bound:
        yield bound


async def _send(address: str, data: bytes) -> tuple[int, bytes, Any]:
    """Status, head and parsed body of the answer to raw bytes; the server must end the connection."""
    reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
    try:
        writer.write(data)
        answer = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, orjson.loads(body)


def _post(body: bytes, *headers: str) -> bytes:
    lines = ["POST /length HTTP/1.1", "Host: x", "Connection: close", *headers]
    if not any(line.startswith(("Transfer-Encoding", "Content-Length")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (f"BREW /{KEY} HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed_request"),
        (f"GET / HTTP/1.1\r\nHost: x\r\nX-Key {KEY}\r\n\r\n", 400, "malformed_request"),
        (f"GET /?key={KEY}{'x' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n", 431, "header_too_large"),
        (f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}{'x' * 9000}\r\n\r\n", 431, "header_too_large"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400, "malformed_request"),
        (f"GET /length HTTP/1.1\r\nHost: x\r\nExpect: {KEY}\xf8\r\n\r\n", 400, "malformed_request"),
    ],
)
async def test_what_cannot_be_read_is_answered_without_showing_it(
    address: str, caplog: pytest.LogCaptureFixture, sent: str, status: int, code: str
) -> None:
    """A problem document; neither it nor the log holds what was sent, and nobody is alarmed."""
    with caplog.at_level(logging.DEBUG):
        answered, head, problem = await _send(address, sent.encode("latin-1"))
    assert (answered, problem["code"], problem["status"]) == (status, code, status)
    assert b"application/problem+json" in head
    assert KEY not in str(problem)
    assert KEY not in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "nonsense"])
async def test_a_compressed_body_is_refused(address: str, coding: str) -> None:
    """415, whether the body is compressed or only said to be; nothing is unpacked."""
    body = gzip.compress(b"x" * 900) if coding == "gzip" else b"not compressed"
    status, _, problem = await _send(address, _post(body, f"Content-Encoding: {coding}"))
    assert (status, problem["code"]) == (415, "unsupported_content_encoding")


async def test_a_body_is_read_as_it_was_sent(address: str) -> None:
    """Up to the limit, announced or in chunks; beyond it 413."""
    assert (await _send(address, _post(b"x" * 1000, "Content-Encoding: identity")))[2] == {"length": 1000}
    chunks = b"1f4\r\n" + b"x" * 500 + b"\r\n"
    chunked = "Transfer-Encoding: chunked"
    assert (await _send(address, _post(chunks * 2 + b"0\r\n\r\n", chunked)))[2] == {"length": 1000}
    for sent in (_post(b"x" * 1001), _post(chunks * 3 + b"0\r\n\r\n", chunked)):
        status, _, problem = await _send(address, sent)
        assert (status, problem["code"]) == (413, "body_too_large")


async def test_a_broken_body_is_a_bad_request(address: str) -> None:
    """400 where the chunks are none."""
    status, _, problem = await _send(address, _post(b"5\r\nhello\r\nzz\r\n", "Transfer-Encoding: chunked"))
    assert (status, problem["code"]) in {(400, "malformed_body"), (400, "malformed_request")}


async def test_whoever_sends_too_slowly_is_let_go(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """408 for a body that does not arrive."""
    monkeypatch.setattr(http, "BODY_SECONDS", 0.05)
    status, _, problem = await _send(address, _post(b"", "Content-Length: 10"))
    assert (status, problem["code"]) == (408, "body_too_slow")


@pytest.mark.parametrize("sent", [b"GET /length HTTP/1.1\r\nHost: x", b"G", b"\r\n"])
async def test_half_a_request_holds_no_connection(address: str, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Whoever begins a request and does not go on is let go, also behind one that was whole."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    whole = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    for before in (b"", whole):
        reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
        try:
            if before:
                writer.write(before)
                await reader.readuntil(b"}")
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 10) == b""
        finally:
            writer.close()


async def test_a_request_that_came_in_time_is_not_cut_off(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head in two parts is as good as one, and the connection stays for the next request."""
    monkeypatch.setattr(connection, "HEAD_SECONDS", 1.0)
    reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
    try:
        for _ in range(2):
            writer.write(b"GET /nowhere HTTP/1.1\r\nHo")
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(b"st: x\r\n\r\n")
            assert b"404" in await asyncio.wait_for(reader.readuntil(b"}"), 10)
            await asyncio.sleep(1.1)  # longer than a head may take
    finally:
        writer.close()
