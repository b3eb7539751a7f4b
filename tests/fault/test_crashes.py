"""The writer is killed between any two stations of the path: no acknowledged event is lost, no effect doubled.

A test holds from outside what the next station needs, waits until the writer waits for it, kills the writer with
SIGKILL and lets go. What Stripe was not told is received it sends again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from sandbox.clients import Json
from sandbox.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

BACK = "http://localhost/paid"
PATIENCE_S = 40

Hold = Callable[[Stack, asyncpg.Connection, str], AbstractAsyncContextManager[str]]
"""Holds a station back; gives an SQL condition that is true once the writer has come to it."""

WAITING = "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%')"


def locked(statement: str, waiting: str) -> Hold:
    """Hold what `statement` locks, until a query like `waiting` waits."""

    @asynccontextmanager
    async def hold(_: Stack, database: asyncpg.Connection, session_id: str) -> AsyncIterator[str]:
        async with database.transaction():
            await database.execute(statement.replace("SESSION", session_id))
            yield WAITING.format(waiting)

    return hold


@asynccontextmanager
async def silent_redis(stack: Stack, _: asyncpg.Connection, session_id: str) -> AsyncIterator[str]:
    """Redis is stopped: the purchase is committed, and cannot be told to anybody."""
    stack.redis.process.pause()
    try:
        yield f"EXISTS (SELECT FROM entitlements WHERE source_ref = '{session_id}')"
    finally:
        stack.redis.process.resume()


@asynccontextmanager
async def stalled_cursor(_: Stack, database: asyncpg.Connection, __: str) -> AsyncIterator[str]:
    """Moving the cursor waits; renewing the lease does not, or the writer would stop relaying before it came here."""
    await database.execute("SELECT pg_advisory_lock(1)")
    await database.execute(STALL)
    try:
        yield WAITING.format("UPDATE relay_leases")
    finally:
        await database.execute("SELECT pg_advisory_unlock(1)")
        await database.execute("DROP FUNCTION stall() CASCADE")


@dataclass(frozen=True)
class Between:
    """Two stations, and how to keep the writer between them."""

    stations: str
    hold: Hold
    acknowledged: bool
    """Whether Stripe had been told that the event was received."""


BETWEEN = [
    Between(
        "webhook-inbox",
        locked("LOCK TABLE webhook_events IN EXCLUSIVE MODE", "INSERT INTO webhook_events"),
        acknowledged=False,
    ),
    Between(
        "inbox-pipeline",
        locked("LOCK TABLE stripe_objects IN ACCESS EXCLUSIVE MODE", "LEFT JOIN stripe_objects"),
        acknowledged=True,
    ),
    Between(
        "pipeline-apply",
        locked("INSERT INTO stripe_objects (id) VALUES ('SESSION')", "INSERT INTO stripe_objects"),
        acknowledged=True,
    ),
    Between(
        "apply-recompute",
        locked("LOCK TABLE documents IN ACCESS EXCLUSIVE MODE", "WITH held AS"),
        acknowledged=True,
    ),
    Between(
        "recompute-outbox",
        locked("SELECT FROM projects WHERE public_id = 'notes' FOR NO KEY UPDATE", "FROM projects WHERE id = ANY"),
        acknowledged=True,
    ),
    Between("outbox-relay", silent_redis, acknowledged=True),
    Between("relay-cursor", stalled_cursor, acknowledged=True),
]


@pytest.mark.parametrize("between", BETWEEN, ids=lambda between: between.stations)
async def test_a_crash_between_two_stations_loses_and_doubles_nothing(stack: Stack, between: Between) -> None:
    """The purchase that was under way is granted once: one revision, one history row, one purchase, one document."""
    notes, user = stack.apps["notes"], f"crash-{between.stations}"
    session = await notes.writer.checkout(user, notes.prices.purchase, BACK)
    session_id = session["session_id"]
    watching = await asyncpg.connect(stack.postgres.superuser_url)
    database = await asyncpg.connect(stack.postgres.superuser_url)
    try:
        await relayed(stack)
        before = await revision(watching)
        async with between.hold(stack, database, session_id) as reached:
            await stack.stripe.pay(session_id)
            await until(watching, reached)
            stored = await watching.fetchval(STORED, session_id) if between.acknowledged else 0
            await stack.kill("writer")
        assert bool(stored) is between.acknowledged
        # What waited for a lock notices only now that nobody is there any more to commit for.
        await until(watching, "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'billing-writer')")
        await stack.restart("writer")
        answer = await allowed(stack, user)
        assert answer["source"] == "purchase"
        await until(watching, f"NOT EXISTS (SELECT FROM webhook_events WHERE object_id = '{session_id}' AND "
                    "status = 'pending')")  # fmt: skip
        assert await watching.fetchrow(EFFECTS, user) == (1, 1, 1, 1)
        assert await revision(watching) == before + 1
    finally:
        await watching.close()
        await database.close()


async def relayed(stack: Stack) -> None:
    """Wait for a heartbeat: the writer holds the lease, and is not one that was killed a moment ago."""
    async with asyncio.timeout(PATIENCE_S):
        while (await stack.apps["notes"].sidecar.standing())["age_ms"] > 900:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def revision(database: asyncpg.Connection) -> int:
    """The project's revision."""
    return int(await database.fetchval("SELECT revision FROM projects WHERE public_id = 'notes'"))


async def until(database: asyncpg.Connection, condition: str) -> None:
    """Wait until an SQL condition is true."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await database.fetchval(f"SELECT {condition}"):  # noqa: ASYNC110 - the condition is the server's
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        activity = await database.fetch("SELECT wait_event_type, left(query, 100) FROM pg_stat_activity")
        raise AssertionError(f"never true: {condition}; {activity}") from error


async def allowed(stack: Stack, user: str) -> Json:
    """The sidecar's answer, once it allows."""
    async with asyncio.timeout(PATIENCE_S):
        while not (answer := await stack.apps["notes"].sidecar.check(user, "themes"))["allowed"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return answer


STALL = """
CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$;
CREATE TRIGGER stall BEFORE UPDATE ON relay_leases FOR EACH ROW
WHEN (NEW.relayed_revision > OLD.relayed_revision) EXECUTE FUNCTION stall()
"""

STORED = "SELECT count(*) FROM webhook_events WHERE object_id = $1"

EFFECTS = """
SELECT (SELECT count(*) FROM purchases p WHERE p.user_id = $1),
    (SELECT count(*) FROM entitlement_history h WHERE h.user_id = $1),
    (SELECT count(*) FROM entitlements e WHERE e.user_id = $1),
    (SELECT count(*) FROM outbox o JOIN users u ON u.id = o.user_ref WHERE u.user_id = $1)
"""
