"""Of the addresses that proxies tell, the last counts that no trusted proxy has."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from common.settings import Reader
from writer.proxies import behind


async def _seen(trusted: str, remote: str, headers: list[tuple[str, str]]) -> tuple[str | None, str]:
    seen: list[tuple[str | None, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.remote, request.scheme))
        return web.Response()

    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)
    reader = Reader({"TRUSTED_PROXIES": trusted})
    (middleware,) = behind(reader.networks("TRUSTED_PROXIES"))
    assert reader.faults == []
    await middleware(request, handler)
    return seen[0]


@pytest.mark.parametrize(
    ("remote", "told", "scheme", "seen"),
    [
        ("192.0.2.1", ["203.0.113.5"], "https", ("192.0.2.1", "http")),
        ("10.0.0.1", [], "", ("10.0.0.1", "http")),
        ("10.0.0.1", ["203.0.113.5"], "https", ("203.0.113.5", "https")),
        ("::ffff:10.0.0.1", ["203.0.113.5"], "HTTPS", ("203.0.113.5", "https")),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.5, 10.0.0.2"], "http, https", ("203.0.113.5", "https")),
        ("10.0.0.1", ["6.6.6.6", "203.0.113.5"], "gopher", ("203.0.113.5", "http")),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "https", ("10.0.0.3", "https")),
        ("10.0.0.1", ["2001:db8::7, ::1"], "https", ("2001:db8::7", "https")),
        ("10.0.0.1", ["203.0.113.5, made up, 10.0.0.2"], "https", ("10.0.0.2", "https")),
        ("10.0.0.1", [" , ,"], "https", ("10.0.0.1", "https")),
    ],
)
async def test_a_trusted_proxy_is_believed_and_nobody_before_it(
    remote: str, told: list[str], scheme: str, seen: tuple[str, str]
) -> None:
    """Nobody else's headers count; what is no address ends the search."""
    headers = [("X-Forwarded-For", one) for one in told] + ([("X-Forwarded-Proto", scheme)] if scheme else [])
    assert await _seen("10.0.0.0/8, ::1", remote, headers) == seen


def test_without_a_trusted_proxy_nothing_stands_between() -> None:
    """The usual case costs nothing; what is no network is a fault that says what one looks like."""
    assert behind(()) == []
    reader = Reader({"TRUSTED_PROXIES": "10.0.0.0/8, proxy.example"})
    reader.networks("TRUSTED_PROXIES")
    assert reader.faults == [
        "TRUSTED_PROXIES must be a comma-separated list of addresses or ranges, such as 10.0.0.0/8, ::1"
    ]
