"""`docs/recipes/nginx.conf` in a real nginx."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiohttp import encode_basic_auth
from httpx_sse import aconnect_sse

from sandbox.ports import free_port
from tests.support.history import History, grant
from tests.support.proxies import APP, PROXY, SIDECAR, App, Proxy, configured, proxying
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar
from tests.support.tools import TOOLS

pytestmark = pytest.mark.needs("nginx")

TEMPORARY = ("client_body", "proxy", "fastcgi")
FORGED = {"X-User-Id": "ann", "x-user-id": "ann", "X-Entitlement-Value": "999", "X-Entitlement-Allowed": "true"}


def login(user: str) -> dict[str, str]:
    """The headers of who is logged in."""
    return {"Authorization": encode_basic_auth(user, "secret")}


ANN, BOB = login("ann"), login("bob")


async def _nginx(running: Running, app: App, folder: Path) -> tuple[list[str], int]:
    port = free_port()
    addresses = {PROXY: f"127.0.0.1:{port}", APP: app.address, SIDECAR: running.sidecar.address}
    own = "".join(f"    {name}_temp_path {folder};\n" for name in TEMPORARY)
    more = ("http {\n", f"http {{\n    access_log off;\n{own}")
    config = configured("nginx.conf", folder, addresses, more)
    (folder / "users").write_text("ann:{PLAIN}secret\nbob:{PLAIN}secret\na&b=c:{PLAIN}secret\n", encoding="utf-8")
    binary = TOOLS["nginx"].find()
    assert binary is not None
    log = folder / "error.log"
    user = "user root;" if os.geteuid() == 0 else ""  # else workers are somebody who may not read this folder
    directives = f"daemon off; pid {folder}/nginx.pid; error_log {log}; {user}"
    return [binary, "-p", str(folder), "-e", str(log), "-c", str(config), "-g", directives], port


@pytest.fixture
async def nginx(running: Running, app: App, tmp_path: Path) -> AsyncIterator[Proxy]:
    """The proxy between a client, a sidecar in step, and the app."""
    argv, port = await _nginx(running, app, tmp_path)
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
    argv, port = await _nginx(await start_sidecar(redis_url), app, tmp_path)
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
