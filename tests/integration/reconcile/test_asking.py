"""Operators begin runs and read reports, over the API and by command; a night begins its own."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from common.clock import SECOND, from_datetime
from common.http import middleware
from common.settings import Secret
from tests.support.billing import billing, said
from tests.support.ingest import StoppedClock
from tests.support.operating import ADMIN, ADMIN_KEY
from tests.support.reconciling import ACTOR, Office
from tests.support.waiting import eventually
from writer.admin.reconcile import ReconcileRoutes
from writer.api.replies import REPLIES, Replies
from writer.auth import Authenticator
from writer.reconcile.nightly import Nightly
from writer.reconcile.requests import ReconcileRequests
from writer.wakeup import Wakeup

PATH = "/api/v1/admin/reconcile"
EVENING = datetime(2026, 11, 24, 22, tzinfo=UTC)
"""A Tuesday."""


@pytest.fixture
async def client(office: Office) -> AsyncIterator[TestClient[Any, Any]]:
    """The routes behind a real server."""
    ingest = office.town.ingest
    auth = Authenticator(ingest.engine, (Secret(ADMIN_KEY),), ingest.clock)
    app = web.Application(middlewares=[middleware])
    app[REPLIES] = Replies(ingest.engine)
    app.add_routes(ReconcileRoutes(auth, ReconcileRequests(ingest.transactions, lambda: None)).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_begun_and_read_over_the_api(office: Office, client: TestClient[Any, Any]) -> None:
    """202 with the run, the same one while it is open, and its report with findings once it is done."""
    price = await office.town.price("export")
    await office.miss()
    bought = await office.town.subscribed(price)
    begun = await client.post(PATH, headers=ADMIN)
    assert begun.status == 202
    run = await begun.json()
    assert (run["state"], run["full"], begun.headers["Location"]) == ("waiting", False, f"{PATH}/{run['run_id']}")
    again = await (await client.post(PATH, headers=ADMIN, json={"full": False})).json()
    full = await (await client.post(PATH, headers=ADMIN, json={"full": True})).json()
    assert (again["run_id"], full["full"]) == (run["run_id"], True)
    await office.finish(office.worker(), await office.requests.run(run["run_id"]))
    shown = await (await client.get(f"{PATH}/{run['run_id']}", headers=ADMIN)).json()
    assert (shown["state"], shown["stages_done"]) == ("finished", shown["stages"])
    assert bought.id in {one["object_id"] for one in shown["findings"]}
    only = await (await client.get(f"{PATH}/{run['run_id']}?finding=repaired", headers=ADMIN)).json()
    assert only["findings"] == []
    listed = await (await client.get(f"{PATH}?limit=1", headers=ADMIN)).json()
    assert [one["run_id"] for one in listed["runs"]] == [full["run_id"]]
    page = await (await client.get(f"{PATH}?after={listed['next']}&limit=1", headers=ADMIN)).json()
    assert [one["run_id"] for one in page["runs"]] == [run["run_id"]]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/7", 404, "unknown_run"),
        ("/x", 400, "invalid_run_id"),
        ("/99999999999999999999", 400, "invalid_run_id"),
        ("?limit=0", 400, "invalid_limit"),
        ("?after=x", 400, "invalid_cursor"),
        ("/7?finding=lost", 400, "invalid_finding"),
    ],
)
async def test_what_makes_no_sense_is_said(client: TestClient[Any, Any], path: str, status: int, code: str) -> None:
    """Each wrong question has a code of its own."""
    answer = await client.get(PATH + path, headers=ADMIN)
    assert (answer.status, (await answer.json())["code"]) == (status, code)


async def test_only_with_the_admin_key(client: TestClient[Any, Any]) -> None:
    """Nobody else begins a run."""
    assert (await client.post(PATH)).status == 401


async def test_the_audit_log_says_who_asked(office: Office) -> None:
    """A run that somebody asked for is an act."""
    run = await office.requests.begin(ACTOR, full=True)
    rows = await office.town.ingest.query("SELECT actor, subject, after FROM audit_log WHERE action LIKE 'reconcile%'")
    assert [tuple(row) for row in rows] == [("cli:test", f"reconcile:{run.id}", {"full": True})]


def nightly(office: Office, clock: StoppedClock) -> Nightly:
    """A writer's nightly part, which came up now."""
    return Nightly(office.town.ingest.transactions, clock, time(3), Wakeup())


async def test_one_run_a_night_however_many_writers(office: Office) -> None:
    """Whoever looks first after the hour begins it; on Sundays it lists everything."""
    clock = clock_at(EVENING)
    writers = [nightly(office, clock) for _ in range(3)]
    assert [await one.look() for one in writers] == [None] * 3
    clock.at += 6 * 3_600
    begun = await asyncio.gather(*(one.look() for one in writers))
    assert len([one for one in begun if one is not None]) == 1
    for _ in range(4):  # Thursday to Sunday
        clock.at += 86_400
        await asyncio.gather(*(one.look() for one in writers))
    runs = await office.requests.recent(10)
    assert [str(run.night) for run in reversed(runs)] == [f"2026-11-{day}" for day in range(25, 30)]
    assert [run.whole for run in reversed(runs)] == [False] * 4 + [True]


async def test_a_writer_that_comes_up_later_begins_no_first_night(office: Office) -> None:
    """A new service is left alone until its first night; a missed night is made up for."""
    clock = clock_at(EVENING)
    assert await nightly(office, clock).look() is None
    clock.at += 20 * 3_600
    assert await nightly(office, clock).look() is None
    missed = clock_at(EVENING - timedelta(days=40))
    old = nightly(office, missed)
    missed.at += 6 * 3_600
    assert await old.look() is not None
    await office.town.ingest.query("UPDATE reconcile_runs SET created_at = '2026-10-15Z'")
    assert await nightly(office, clock).look() is not None


def clock_at(moment: datetime) -> StoppedClock:
    """A clock that stands there."""
    return StoppedClock(from_datetime(moment) / SECOND)


async def test_the_command_interrupted_and_resumed(office: Office, database_url: str) -> None:
    """Ctrl-C leaves the run; the next command finishes the same one and prints its report."""
    ids = await unheard(office)
    stripe = office.town.shop.standin.url
    async with billing(database_url, stripe, "reconcile") as first:
        await eventually(lambda: some_are_there(office), 40)
        first.send_signal(signal.SIGINT)
        status, _, words = await said(first)
        assert (status, "left as it is" in words) == (130, True)
    report = await finished_by_command(office, database_url, ids)
    async with billing(database_url, stripe, "reconcile", "--report") as asking:
        status, out, _ = await said(asking)
    assert status == 0
    assert f"unknown here       {report['unknown_here']}" in out


async def test_the_command_killed_and_resumed(office: Office, database_url: str) -> None:
    """After SIGKILL in the middle, the next command takes the run over once its claim is out; nothing counts twice."""
    ids = await unheard(office)
    async with billing(database_url, office.town.shop.standin.url, "reconcile") as first:
        await eventually(lambda: some_are_there(office), 40)
        first.kill()
        await asyncio.to_thread(first.wait)
    (left,) = await office.town.ingest.query("SELECT finished_at, claimed_by, unknown_here FROM reconcile_runs")
    assert (left.finished_at, left.claimed_by is not None, left.unknown_here < len(ids)) == (None, True, True)
    await office.town.ingest.query("UPDATE reconcile_runs SET claimed_until = now()")  # rather than half a minute
    report = await finished_by_command(office, database_url, ids)
    assert report["unknown_here"] == len({one["object_id"] for one in report["findings"]})
    held = await office.town.ingest.query("SELECT id FROM subscriptions")
    assert {row.id for row in held} == set(ids)


async def unheard(office: Office) -> list[str]:
    """More than a page of subscriptions that no event told of."""
    price = await office.town.price("export")
    customer = await office.town.customer()
    await office.miss()
    return [(await office.town.subscription(price, customer=customer, user=f"u{n}")).id for n in range(110)]


async def finished_by_command(office: Office, database_url: str, ids: list[str]) -> Any:
    """The report of the command that goes on with the first run."""
    async with billing(database_url, office.town.shop.standin.url, "reconcile", "--json") as going_on:
        status, out, err = await said(going_on)
    assert status == 0, err
    report = json.loads(out)
    assert (report["run_id"], report["state"], report["failed"]) == (1, "finished", 0)
    assert set(ids) <= {one["object_id"] for one in report["findings"]}
    return report


async def some_are_there(office: Office) -> bool:
    """Whether the run has begun to repair."""
    return len(await office.town.ingest.query("SELECT id FROM subscriptions LIMIT 5")) == 5
