"""`billing catalog apply`, `jobs` and `push`: what an operator waits for and sees."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import aiohttp
import psycopg
import pytest
from click.testing import CliRunner, Result

from sandbox.clients import Endpoint, Stripe
from sandbox.stripe.server import Options, StripeStandIn
from tests.support.stripe_standin import KEY, SECRET
from writer.cli import main

CATALOG = """
version: 1
projects:
  shop:
    features: {pro: {}, calls: {kind: limit, combine: sum}}
    plans:
      price_1: {features: {pro: true, calls: 1}}
"""
HOLDERS = """
WITH u AS (INSERT INTO users (project_id, user_id) SELECT 1, 'u' || n FROM generate_series(1, 60) n
    RETURNING id, user_id),
p AS (INSERT INTO purchases (id, user_id, mode, payment_status, amount_total, currency, completed_at, livemode)
    SELECT 'cs_' || user_id, user_id, 'payment', 'paid', 100, 'eur', now(), false FROM u RETURNING id)
INSERT INTO purchase_lines (id, purchase_id, user_ref, price_id, product_id, quantity, amount_total)
SELECT 'li_' || user_id, 'cs_' || user_id, id, 'price_1', 'prod_1', 1, 100 FROM u
"""


class Desk:
    """The command on one database, with a project `shop` and 60 users who hold price_1."""

    def __init__(self, url: str) -> None:
        self.environment = {"DATABASE_URL": url}
        self._url = url
        assert self.run("project", "create", "shop").exit_code == 0
        self.sql(HOLDERS)

    def run(self, *arguments: str, stdin: str = CATALOG) -> Result:
        """Run a command."""
        return CliRunner().invoke(main, list(arguments), env=self.environment, input=stdin)

    def sql(self, statement: str) -> list[Any]:
        """Run a statement."""
        with psycopg.connect(self._url) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def desk(database_url: str) -> Desk:
    """Ready to apply."""
    return Desk(database_url)


def test_apply_works_off_what_no_writer_does(desk: Desk) -> None:
    """Without a running writer the command computes the subscribers itself; --no-wait leaves them, the next goes on."""
    left = desk.run("catalog", "apply", "-", "--no-wait", "--yes")
    assert (left.exit_code, "in force: shop" in left.stdout) == (0, True)
    assert desk.sql("SELECT count(*) FROM documents") == [(0,)]
    (job,) = json.loads(desk.run("catalog", "jobs", "--json").stdout)
    assert (job["project_id"], job["done"], job["finished"]) == ("shop", 0, False)
    again = desk.run("catalog", "apply", "-", "--yes")
    assert (again.exit_code, again.stdout.splitlines()[-2:]) == (
        0,
        ["in force: nothing new", "shop: 60 users computed again"],
    )
    assert desk.sql("SELECT count(*) FROM documents WHERE NOT is_empty") == [(60,)]
    assert "catalog:2" in desk.run("catalog", "jobs").stdout


def test_apply_tells_whom_it_could_not_compute(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody else is computed; the exit status is 1, and the reason is on stderr."""
    monkeypatch.setattr("writer.recompute._LARGE_BYTES", 1_000)
    monkeypatch.setattr("writer.recompute._MOST_BYTES", 2_000)
    desk.sql("UPDATE purchase_lines SET user_ref = (SELECT min(id) FROM users) WHERE user_ref <= 50")
    done = desk.run("catalog", "apply", "-", "--yes", "--json")
    assert json.loads(done.stdout)["shop"] == {"changed": True, "computed": 10, "failed": 1}
    assert done.exit_code == 1
    assert "shop: 1, the last one for: DocumentTooLargeError" in done.stderr
    assert json.loads(desk.run("catalog", "jobs", "--json").stdout)[0]["failed"] == 1


@contextmanager
def standing() -> Iterator[str]:
    """Stripe's stand-in on a thread of its own, as the command runs an event loop itself; its URL."""
    ready, ended, urls = Event(), Event(), list[str]()

    async def serve() -> None:
        async with StripeStandIn(Options()) as standin:
            urls.append(standin.url)
            ready.set()
            await asyncio.to_thread(ended.wait)

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield urls[0]
    finally:
        ended.set()
        thread.join(20)


def test_push_shows_and_writes_what_differs(desk: Desk) -> None:
    """Once; the second time everything is right already. A price that Stripe does not know is named."""
    with standing() as url:
        desk.environment |= {"STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET, "STRIPE_API_BASE": url}
        desk.run("catalog", "apply", "-", "--no-wait", "--yes")
        refused = desk.run("catalog", "push", "shop")
        assert (refused.exit_code, "price_1: Stripe has none of that id" in refused.stderr) == (1, True)
        product = _post(url, "products", {"name": "Pro", "id": "prod_1"})
        catalog = CATALOG.replace("price_1", product)
        desk.run("catalog", "apply", "-", "--no-wait", "--yes", stdin=catalog)
        first = desk.run("catalog", "push", "--yes")
        assert first.exit_code == 0, first.output
        assert "calls=1, pro" in first.stdout
        assert "written: 1, right already: 0" in first.stdout
        again = json.loads(desk.run("catalog", "push", "--json").stdout)
        assert again == {"written": [], "unchanged": 1, "notes": []}


def _post(url: str, path: str, form: dict[str, str]) -> str:
    async def send() -> str:
        async with aiohttp.ClientSession() as session:
            stripe = Stripe(Endpoint(session, url, KEY))
            return str((await stripe.post(path, **form))["id"])

    return asyncio.run(send())
