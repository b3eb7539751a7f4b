"""Where revisions may have gone back a new epoch begins, and everybody starts afresh in it (invariant 4)."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import orjson
import psycopg
import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from common import keys
from common.clock import SystemClock
from common.identifiers import UserId
from common.position import Position
from sandbox.binaries import find_postgres
from sandbox.postgres import PostgresServer
from tests.support.history import grant
from tests.support.ledger import Ledger, open_engine
from tests.support.postgres import drop_database
from tests.support.relaying import StartRelay, Subscriber, document_at, meta_at
from tests.support.waiting import eventually, until
from writer.lineage import LineageKeeper
from writer.relay.metrics import RelayMetrics


def _keeper(engine: AsyncEngine) -> tuple[LineageKeeper, list[str]]:
    rises: list[str] = []
    return LineageKeeper(engine, RelayMetrics(CollectorRegistry()), lambda: rises.append("risen"), SystemClock()), rises


async def test_the_same_database_keeps_its_epochs(ledger: Ledger, engine: AsyncEngine) -> None:
    """The first check only records which database it is, and later ones find nothing new."""
    keeper, rises = _keeper(engine)
    before = await ledger.head()
    await keeper.check()
    await keeper.check()
    assert await ledger.head() == before
    assert rises == []
    (row,) = await ledger.query("SELECT identity FROM lineage")
    system, timeline, database = row.identity.split(":")
    assert system.isdigit()
    assert timeline == "00000001"
    assert database.isdigit()


async def test_another_identity_begins_new_epochs(ledger: Ledger, engine: AsyncEngine) -> None:
    """In a database that says to be another one, every project gets a new epoch, once, and no revision."""
    other = await Ledger.open(engine, "other", epoch=99_999_999_999)
    keeper, rises = _keeper(engine)
    await keeper.check()
    before = await ledger.head()
    await ledger.query("UPDATE lineage SET identity = 'elsewhere:00000001:1'")
    await keeper.check()
    await keeper.check()
    head = await ledger.head()
    assert head.epoch > before.epoch
    assert head.revision == before.revision
    assert (await other.head()).epoch == 100_000_000_000
    assert rises == ["risen"]


async def test_a_table_made_anew_begins_a_new_epoch(ledger: Ledger, engine: AsyncEngine) -> None:
    """A project whose row is not in the table that its epoch began in gets a new one; the others keep theirs."""
    other = await Ledger.open(engine, "other")
    keeper, _ = _keeper(engine)
    before, before_other = await ledger.head(), await other.head()
    await ledger.query("UPDATE projects SET home_oid = 1 WHERE id = :id", id=ledger.project_id)
    await keeper.check()
    assert (await ledger.head()).epoch > before.epoch
    assert await other.head() == before_other
    await ledger.change("ada", grant())


async def test_only_what_was_never_committed_begins_a_new_epoch(ledger: Ledger, engine: AsyncEngine) -> None:
    """A position at or behind the head, or of no possible epoch, raises nothing; one beyond it does, above it."""
    keeper, rises = _keeper(engine)
    await ledger.change("ada", grant())
    head = await ledger.head()
    assert not await keeper.raise_epoch(ledger.project_id, head, "redis")
    assert not await keeper.raise_epoch(ledger.project_id, Position(head.epoch - 1, 999), "redis")
    assert not await keeper.raise_epoch(ledger.project_id, Position(10**15, 1), "redis")
    assert rises == []
    seen = Position(head.epoch + 500, 3)
    assert await keeper.raise_epoch(ledger.project_id, seen, "redis")
    assert (await ledger.head()).epoch == seen.epoch + 1


@pytest.mark.parametrize("told_by", ["changes", "sidecar"])
async def test_hearsay_begins_one_epoch_and_then_waits(ledger: Ledger, engine: AsyncEngine, told_by: str) -> None:
    """Whoever names what comes next again and again moves a project once; what Redis holds is believed at any time."""
    keeper, _ = _keeper(engine)
    head = await ledger.head()
    assert await keeper.raise_epoch(ledger.project_id, Position(head.epoch, head.revision + 1), told_by)
    risen = await ledger.head()
    for _ in range(3):
        assert not await keeper.raise_epoch(ledger.project_id, Position(risen.epoch, risen.revision + 1), told_by)
    assert await ledger.head() == risen
    assert await keeper.raise_epoch(ledger.project_id, Position(risen.epoch, risen.revision + 1), "redis")


async def test_hearsay_of_a_day_to_come_begins_nothing(ledger: Ledger, engine: AsyncEngine) -> None:
    """An epoch is the second in which it began: nobody can have met one of the day after tomorrow."""
    keeper, _ = _keeper(engine)
    head = await ledger.head()
    assert not await keeper.raise_epoch(ledger.project_id, Position(head.epoch + 2 * 86_400, 1), "changes")
    assert await ledger.head() == head
    assert await keeper.raise_epoch(ledger.project_id, Position(head.epoch, head.revision + 1), "changes")


@pytest.fixture
def restored_url(shared_postgres: PostgresServer, database_url: str) -> Iterator[str]:
    """A database to restore into."""
    with psycopg.connect(shared_postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    yield shared_postgres.url_of("restored")
    drop_database(shared_postgres, "restored")


def _copy(database_url: str, restored_url: str, dump: Path) -> None:
    programs = find_postgres().postgres.parent
    subprocess.run([programs / "pg_dump", "--file", dump, database_url], check=True, timeout=30)
    quiet = ("--quiet", "--output", "/dev/null", "--set", "ON_ERROR_STOP=1")
    subprocess.run([programs / "psql", *quiet, "--file", dump, restored_url], check=True, timeout=30)


async def test_a_plain_dump_and_restore_begins_a_new_epoch(
    ledger: Ledger, engine: AsyncEngine, database_url: str, restored_url: str, tmp_path: Path
) -> None:
    """pg_dump into psql makes other tables in another database: no revision is given before a new epoch began."""
    keeper, _ = _keeper(engine)
    await keeper.check()
    await ledger.change("ada", grant())
    before = await ledger.head()
    _copy(database_url, restored_url, tmp_path / "dump.sql")
    restored = open_engine(restored_url)
    try:
        again = Ledger(restored, ledger.project_id, ledger.project)
        keeper, rises = _keeper(restored)
        await keeper.check()
        head = await again.head()
        assert head.epoch > before.epoch
        assert head.revision == before.revision
        assert rises == ["risen"]
        assert (await again.change("ada")).position == (head.epoch, before.revision + 1)
    finally:
        await restored.dispose()


async def test_redis_is_rewritten_in_the_new_epoch(
    ledger: Ledger, redis: Redis, redis_url: str, start_relay: StartRelay
) -> None:
    """Documents get the new epoch, who is unknown now gets an empty document, and nothing is deleted."""
    await start_relay()
    await ledger.edit("pro")
    await ledger.change("ada", grant())
    await ledger.change("lost", grant())
    await eventually(lambda: _is_told(redis, ledger))
    before = await ledger.head()
    # As after restoring a backup from before the last purchase.
    await ledger.query("DELETE FROM outbox WHERE revision = 3")
    for table in ("documents", "entitlements", "entitlement_history"):
        await ledger.query(f"DELETE FROM {table} WHERE user_id = 'lost'")
    await ledger.query("DELETE FROM users WHERE user_id = 'lost'")
    await ledger.query(
        "UPDATE projects p SET revision = 2, user_count = o.user_count, digest = o.digest, home_oid = 1 "
        "FROM outbox o WHERE o.revision = 2"
    )
    await eventually(lambda: _has_risen(ledger, before))
    await eventually(lambda: _is_told(redis, ledger))
    head = await ledger.head()
    assert head.epoch > before.epoch
    ada, lost = await document_at(redis, ledger.project, "ada"), await document_at(redis, ledger.project, "lost")
    assert ada is not None
    assert lost is not None
    assert (ada.position, len(ada.entitlements)) == ((head.epoch, 2), 1)
    assert (lost.position, lost.entitlements) == (head, ())
    async with Subscriber(redis_url, ledger.project) as subscriber:
        await ledger.change("bob", grant())
        await until(lambda: subscriber.reached(3) and bool(subscriber.heartbeats))
    assert subscriber.changes[-1].position == (head.epoch, 3)
    assert await redis.exists(keys.changes(head.epoch, ledger.project))
    assert await redis.ttl(keys.changes(before.epoch, ledger.project)) > 0


async def test_a_redis_that_is_ahead_begins_a_new_epoch(ledger: Ledger, redis: Redis, start_relay: StartRelay) -> None:
    """Redis says that it holds a revision that was never committed: the project's epoch rises above it."""
    await start_relay()
    await ledger.edit("pro")
    await ledger.change("ada", grant())
    await eventually(lambda: _is_told(redis, ledger))
    before = await ledger.head()
    await redis.hset(keys.meta(ledger.project), "revision", str(before.revision + 40))
    await eventually(lambda: _has_risen(ledger, before))
    await eventually(lambda: _is_told(redis, ledger))


async def test_a_document_from_the_future_begins_a_new_epoch(
    ledger: Ledger, redis: Redis, start_relay: StartRelay
) -> None:
    """One document beyond the head tells the same, and is rewritten in the new epoch."""
    await start_relay()
    await ledger.edit("pro")
    await ledger.change("ada", grant())
    await eventually(lambda: _is_told(redis, ledger))
    before = await ledger.head()
    key = keys.document(UserId("ada"), ledger.project)
    data = orjson.loads(await redis.get(key) or b"")
    await redis.set(key, orjson.dumps({**data, "revision": before.revision + 7}))
    await eventually(lambda: _has_risen(ledger, before))
    await eventually(lambda: _is_told(redis, ledger))
    head = await ledger.head()
    held = await document_at(redis, ledger.project, "ada")
    assert held is not None
    assert held.position == (head.epoch, 2)


async def test_a_sidecar_that_is_ahead_begins_a_new_epoch(
    ledger: Ledger, redis: Redis, start_relay: StartRelay
) -> None:
    """A sidecar's presence beyond the head is a copy of a lineage that Postgres lost."""
    relaying = await start_relay()
    await ledger.change("ada", grant())
    before = await ledger.head()
    said = orjson.dumps({"epoch": before.epoch, "revision": before.revision + 1})
    await redis.set(keys.sidecar(ledger.project, "pod-1"), said)
    await redis.zadd(keys.sidecars(ledger.project), {"pod-1": 4_000_000_000})
    await eventually(lambda: _has_risen(ledger, before))
    assert relaying.sample("billing_epoch_rises_total", cause="sidecar") == 1
    (presence,) = await relaying.station.presences.of(ledger.project)
    assert (presence.instance, presence.position) == ("pod-1", (before.epoch, before.revision + 1))


async def _is_told(redis: Redis, ledger: Ledger) -> bool:
    return await meta_at(redis, ledger.project) == await ledger.head()


async def _has_risen(ledger: Ledger, before: Position) -> bool:
    return (await ledger.head()).epoch > before.epoch
