"""`docs/recipes/envoy.yaml` in a real Envoy."""

import asyncio
import hashlib
import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from yarl import URL

from sandbox.ports import free_port
from tests.support.history import History, grant
from tests.support.proxies import APP, PROXY, SIDECAR, App, Proxy, configured, proxying
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar
from tests.support.tools import TOOLS

pytestmark = pytest.mark.needs("envoy")

KEY = b"a key that only the login service and Envoy know"
FORGED = {"X-User-Id": "ann", "X-Entitlement-Value": "999", "X-Entitlement-Allowed": "true"}


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def login(user: str) -> dict[str, str]:
    """The headers of who is logged in: a token as a login service signs it."""
    claims = {"iss": "https://login.example.com", "sub": user, "exp": int(time.time()) + 3600}
    signed = f"{_base64(orjson.dumps({'alg': 'HS256', 'typ': 'JWT'}))}.{_base64(orjson.dumps(claims))}"
    signature = hmac.new(KEY, signed.encode(), hashlib.sha256).digest()
    return {"Authorization": f"Bearer {signed}.{_base64(signature)}"}


ANN, BOB = login("ann"), login("bob")


def _envoy(running: Running, app: App, folder: Path) -> tuple[list[str], int]:
    port = free_port()
    keys = {"keys": [{"kty": "oct", "alg": "HS256", "k": _base64(KEY)}]}
    (folder / "jwks.json").write_bytes(orjson.dumps(keys))
    replaced = [
        (f"port_value: {recipe.rpartition(':')[2]}", f"port_value: {real.rpartition(':')[2]}")
        for recipe, real in ((PROXY, f":{port}"), (APP, app.address), (SIDECAR, running.sidecar.address))
    ]
    config = configured("envoy.yaml", folder, {}, *replaced)
    binary = TOOLS["envoy"].find()
    assert binary is not None
    return [binary, "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"], port


@pytest.fixture
async def envoy(running: Running, app: App, tmp_path: Path) -> AsyncIterator[Proxy]:
    """The proxy between a client, a sidecar in step, and the app."""
    argv, port = _envoy(running, app, tmp_path)
    async with proxying("envoy", argv, tmp_path, port) as proxy:
        yield proxy


async def test_who_may_reaches_the_app(envoy: Proxy) -> None:
    """With its method and body, and with what the sidecar said."""
    status, seen, _ = await envoy.ask("/export/all", "POST", headers=ANN, data=b"payload")
    assert (status, seen["body"]) == (200, "payload")
    headers = seen["headers"]
    assert (headers["x-user-id"], headers["x-entitlement-reason"]) == ("ann", "granted")
    assert headers["x-entitlement-feature"] == "export"


async def test_who_may_not_is_told_what_would_help(envoy: Proxy, app: App) -> None:
    """403 with a check's answer; the app hears nothing of it."""
    status, answer, headers = await envoy.ask("/export/all", headers=BOB)
    assert (status, answer["reason"], answer["unlocked_by"]) == (403, "not_granted", ["price_export"])
    assert headers["x-entitlement-unlocked-by"] == "price_export"
    assert app.requests == []


async def test_who_is_not_logged_in_is_asked_to(envoy: Proxy, app: App) -> None:
    """401 from what knows who is logged in; a name without a token is nobody's."""
    assert (await envoy.ask("/export/all", headers=FORGED))[0] == 401
    assert app.requests == []


async def test_a_client_cannot_say_who_it_is_nor_what_it_may(envoy: Proxy) -> None:
    """Its own headers and query reach neither the sidecar nor the app."""
    assert (await envoy.ask("/export/all?user_id=ann&project_id=x&feature=seats", headers=BOB | FORGED))[0] == 403
    status, seen, _ = await envoy.ask("/elsewhere", headers=BOB | FORGED)
    assert (status, seen["headers"]["x-user-id"]) == (200, "bob")
    assert [name for name in seen["headers"] if name.startswith("x-entitlement-")] == []
    _, seen, _ = await envoy.ask("/export/all", headers=ANN | FORGED)
    assert (seen["headers"]["x-user-id"], seen["headers"]["x-entitlement-value"]) == ("ann", "")


@pytest.mark.parametrize(
    "path", ["/export", "/export/../export/x", "//export//x", "/x/..//export/x", "/export/%2e%2e/export"]
)
async def test_no_way_of_writing_a_path_leads_around(envoy: Proxy, app: App, path: str) -> None:
    """Dots and slashes are made plain before the route is chosen."""
    async with envoy.session.get(URL(envoy.url + path, encoded=True), headers=BOB) as response:
        assert response.status == 403
    assert app.requests == []


async def test_a_change_takes_effect_at_once(
    envoy: Proxy, running: Running, publisher: Publisher, history: History
) -> None:
    """A payment opens the door, without a reload of anything."""
    history.change("bob", grant("export"))
    await publisher.relay()
    async with asyncio.timeout(20):
        while (await envoy.ask("/export/all", headers=BOB))[0] != 200:
            pass


async def test_an_unloaded_sidecar_lets_nobody_pass(
    redis_url: str, start_sidecar: StartSidecar, app: App, tmp_path: Path
) -> None:
    """503, as the recipe has it; what needs no feature goes on."""
    argv, port = _envoy(await start_sidecar(redis_url), app, tmp_path)
    async with proxying("envoy", argv, tmp_path, port) as envoy:
        assert (await envoy.ask("/export/all", headers=ANN))[0] == 503
        assert (await envoy.ask("/elsewhere", headers=ANN))[0] == 200
    assert app.requests == ["GET /elsewhere"]
