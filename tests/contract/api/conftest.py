"""A whole writer, as `running` builds it, with two projects that must not learn of each other."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from common.listening import listening
from sandbox.stripe.server import Options, StripeStandIn
from tests.support.stripe_standin import KEY, SECRET
from writer import app as writer_app
from writer import settings

ADMIN = "admin-key-of-the-api-tests"
MARK = "only-shops"
"""Stands in everything that is the project shop's: what another project's key is answered must not hold it."""
CATALOG = {"features": {"pro": {"name": MARK}, MARK: {"kind": "limit"}}, "plans": {"prod_1": {"features": ["pro"]}}}


@dataclass(frozen=True, slots=True)
class Running:
    """A writer that runs, the application that it serves, and keys of every kind."""

    url: str
    app: web.Application
    http: aiohttp.ClientSession
    keys: dict[str, str]

    async def ask(self, method: str, path: str, *, key: str | None = ADMIN, **more: Any) -> tuple[int, str]:
        """Status and text."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with self.http.request(method, f"{self.url}{path}", headers=headers, **more) as answer:
            return answer.status, await answer.text()

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an admin request that must work."""
        headers = {"Authorization": f"Bearer {ADMIN}"}
        async with self.http.request(method, f"{self.url}/api/v1/admin{path}", json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()


@pytest.fixture
async def running(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """On a database, a Redis and a Stripe of its own, with something in each project."""
    found: list[web.Application] = []

    def keep(app: web.Application, address: Any) -> Any:
        found.append(app)
        return listening(app, address)

    monkeypatch.setattr(writer_app, "listening", keep)
    async with StripeStandIn(Options()) as standin, aiohttp.ClientSession() as http:
        environment = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": standin.url,
            "STRIPE_MAX_RPS": "100",
            "ADMIN_API_KEY": ADMIN,
            "WRITER_LISTEN": "127.0.0.1:0",
        }
        async with writer_app.running(settings.read(environment)) as address:
            made = Running(f"http://{address}", found[0], http, {})
            await _seed(made)
            yield made


async def _seed(running: Running) -> None:
    for name in ("shop", "blog"):
        await running.admin("POST", "/projects", {"project_id": name, "return_hosts": ["localhost:3000"]})
        running.keys[name] = (await running.admin("POST", f"/projects/{name}/keys", {"app": "web"}))["key"]
    await running.admin("PUT", "/projects/shop/catalog", CATALOG)
    grant = {"project_id": "shop", "user_id": "ada", "feature": MARK, "value": 5, "reason": MARK}
    await running.admin("POST", "/grant", grant)
    for app in ("revoked", "disabled", "expired"):
        made = await running.admin("POST", "/projects/shop/keys", {"app": app})
        running.keys[app] = made["key"]
        if app == "revoked":
            await running.admin("POST", f"/projects/shop/keys/{made['id']}/revoke")
        elif app == "disabled":
            await running.admin("PATCH", f"/projects/shop/apps/{app}", {"disabled": True})
        else:
            await running.admin("POST", f"/projects/shop/keys/{made['id']}/rotate", {"overlap_seconds": 0})
