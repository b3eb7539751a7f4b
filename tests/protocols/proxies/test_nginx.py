"""`docs/recipes/nginx.conf` in a real nginx."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from httpx_sse import aconnect_sse

from sandbox.ports import free_port
from tests.support.history import History, grant
from tests.support.nginx import login, nginx_command
from tests.support.proxies import App, Proxy, proxying
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar

pytestmark = pytest.mark.needs("nginx")

FORGED = {"X-User-Id": "ann", "x-user-id": "ann", "X-Entitlement-Value": "999", "X-Entitlement-Allowed": "true"}


ANN, BOB = login("ann"), login("bob")


@pytest.fixture
async def nginx(running: Running, app: App, tmp_path: Path) -> AsyncIterator[Proxy]:
    """The proxy between a client, a sidecar in step, and the app."""
    argv, port = nginx_command(running.sidecar.address, app.address, tmp_path)
    async with proxying("nginx", argv, tmp_path, port) as proxy:
        yield proxy


async def test_who_may_reaches_the_app(nginx: Proxy) -> None:
    """With its body, and with what the sidecar said."""
    status, seen, _ = await nginx.ask("/export/all", "POST", headers=ANN, data=b"payload")
    assert (status, seen["body"]) == (200, "payload")
    assert (seen["headers"]["x-user-id"], seen["headers"]["x-entitlement-reason"]) == ("ann", "granted")


async def test_who_may_not_is_told_what_would_help(nginx: Proxy, app: App) -> None:
    """403 with the price; the app hears nothing of it."""
    status, answer, _ = await nginx.ask("/export/all", headers=BOB)
    assert (status, answer) == (403, {"error": "locked", "reason": "not_granted", "unlocked_by": "price_export"})
    assert app.requests == []


async def test_who_is_not_logged_in_is_asked_to(nginx: Proxy) -> None:
    """401 from what knows who is logged in."""
    status, _, headers = await nginx.ask("/export/all")
    assert (status, headers["www-authenticate"]) == (401, 'Basic realm="notes"')


async def test_a_client_cannot_say_who_it_is_nor_what_it_may(nginx: Proxy) -> None:
    """Its own headers reach neither the sidecar nor the app."""
    assert (await nginx.ask("/export/all?user_id=ann&project_id=x", headers=BOB | FORGED))[0] == 403
    status, seen, _ = await nginx.ask("/elsewhere", headers=BOB | FORGED)
    assert (status, seen["headers"]["x-user-id"]) == (200, "bob")
    assert [name for name in seen["headers"] if name.startswith("x-entitlement-")] == []


async def test_the_app_learns_what_a_proxy_tells(nginx: Proxy) -> None:
    """The host that was asked for, which apps check; and whose connection it is, whatever a client says."""
    forged = {"X-Forwarded-For": "192.0.2.1", "X-Real-IP": "192.0.2.1", "X-Forwarded-Proto": "https"}
    true = {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "x-forwarded-proto": "http"}
    for path in ("/elsewhere", "/export/all"):
        _, seen, _ = await nginx.ask(path, headers=ANN | forged | {"Host": "shop.example.com:8443"})
        assert seen["headers"]["host"] == "shop.example.com:8443"
        assert seen["headers"].items() >= true.items()


async def test_a_change_takes_effect_at_once(
    nginx: Proxy, running: Running, publisher: Publisher, history: History
) -> None:
    """A payment opens the door, without a reload of anything."""
    history.change("bob", grant("export"))
    await publisher.relay()
    async with asyncio.timeout(20):
        while (await nginx.ask("/export/all", headers=BOB))[0] != 200:
            pass


async def test_the_internal_location_is_not_for_clients(nginx: Proxy) -> None:
    """Nobody asks the sidecar past nginx."""
    assert (await nginx.ask("/_entitled/export", headers=ANN))[0] == 404


async def test_an_unloaded_sidecar_lets_nobody_pass(
    redis_url: str, start_sidecar: StartSidecar, app: App, tmp_path: Path
) -> None:
    """503 with a word on when to come again."""
    running = await start_sidecar(redis_url)
    argv, port = nginx_command(running.sidecar.address, app.address, tmp_path)
    async with proxying("nginx", argv, tmp_path, port) as nginx:
        status, answer, headers = await nginx.ask("/export/all", headers=ANN)
        assert (status, answer, headers["retry-after"]) == (503, {"error": "try_again"}, "1")
        assert (await nginx.ask("/elsewhere", headers=ANN))[0] == 200
    assert app.requests == ["GET /elsewhere"]


async def test_a_browser_hears_of_its_users_changes(
    nginx: Proxy, running: Running, publisher: Publisher, history: History
) -> None:
    """Events pass as they come, for who is logged in and nobody else, whatever the query says; and after a break."""
    async with httpx.AsyncClient(timeout=20, trust_env=False, auth=("bob", "secret")) as client:
        async with aconnect_sse(client, "GET", f"{nginx.url}/events", params={"user_id": "ann"}) as source:
            events = source.aiter_sse()
            first = await anext(events)
            assert (first.json()["user_id"], first.json()["features"]["export"]["allowed"]) == ("bob", False)
            history.change("bob", grant("export"))
            await publisher.relay()
            while (event := await anext(events)).event != "entitlements":
                pass
            assert event.json()["features"]["export"]["allowed"]
        again = {"Last-Event-ID": first.id}
        async with aconnect_sse(client, "GET", f"{nginx.url}/events", headers=again) as source:
            assert (await anext(source.aiter_sse())).json()["cause"] == "resync"


async def test_a_name_cannot_break_out_of_the_query(nginx: Proxy) -> None:
    """A user whose name is no plain word has no events; nobody else's are given."""
    status, problem, _ = await nginx.ask("/events", headers=login("a&b=c"))
    assert (status, problem["code"]) == (400, "user_required")


async def test_a_stream_that_cannot_be_opened_now_is_an_empty_one(
    redis_url: str, publisher: Publisher, start_sidecar: StartSidecar, app: App, tmp_path: Path
) -> None:
    """No sidecar, or one with too many streams: after any other answer an EventSource never comes back."""
    full = (await start_sidecar(redis_url, SIDECAR_MAX_STREAMS="0")).sidecar.address
    for number, sidecar in enumerate((f"127.0.0.1:{free_port()}", full)):
        folder = tmp_path / str(number)
        folder.mkdir()
        argv, port = nginx_command(sidecar, app.address, folder)
        async with (
            proxying("nginx", argv, folder, port) as nginx,
            nginx.session.get(f"{nginx.url}/events", headers=ANN) as response,
        ):
            assert (response.status, response.content_type) == (200, "text/event-stream")
            assert await response.text() == "retry: 2000\n\n"
