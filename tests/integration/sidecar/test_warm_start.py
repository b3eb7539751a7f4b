"""The first copy: from Redis, from the writer, and when neither has one."""

import asyncio
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from common import document as documents
from common import keys, wire
from common.clock import Instant, SystemClock
from common.document import Document
from common.identifiers import UserId
from sidecar import redis_feed
from sidecar.bootstrap import Bootstrap
from sidecar.freshness import State
from sidecar.metrics import Metrics
from sidecar.redis_cache import RedisCache, connect
from sidecar.refusals import Refusals
from sidecar.replica import Compared
from sidecar.sources import Source, UnreadableError
from tests.support.history import PROJECT, History, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import StartSidecar, until
from tests.support.writer_double import WriterDouble


async def test_a_warm_start_from_redis_is_complete(
    redis_url: str, publisher: Publisher, start_sidecar: StartSidecar
) -> None:
    """Everything that Redis holds is answered; its digest matched, so a miss is answered locally."""
    running = await start_sidecar(redis_url)
    await until(lambda: running.project.replica.synced)
    assert (await running.check("ann"))["allowed"]
    stranger = await running.check("stranger")
    assert (stranger["allowed"], stranger["reason"], stranger["unlocked_by"]) == (False, "not_granted", ["price_pro"])
    assert stranger["stale"]  # nobody has said yet that this is current
    await publisher.heartbeat()
    await until(lambda: running.project.freshness.state(SystemClock().monotonic()) is State.FRESH)
    assert not (await running.check("ann"))["stale"]


async def test_readiness_waits_for_the_first_copy_and_never_goes_back(
    redis_url: str, history: History, start_sidecar: StartSidecar
) -> None:
    """Live at once, not ready and 503 before the first load, ready afterwards whatever happens to Redis."""
    running = await start_sidecar(redis_url)
    assert (await running.manage("live"))[0] == (await running.manage("healthz"))[0] == 200
    status, body = await running.manage("ready")
    assert (status, '"not_synced"' in body) == (503, True)
    status, problem = await running.get("check", user_id="ann", feature="pro")
    assert (status, problem["code"]) == (503, "not_synced")
    assert (await running.get("entitlements", user_id="ann"))[0] == 503
    assert (await running.post("check", b'{"checks":[{"user_id":"ann","feature":"pro"}]}'))[0] == 503
    async with Redis.from_url(redis_url) as client:
        await Publisher(client, history).relay()
        await until(lambda: running.project.replica.synced)
        await client.flushall()
    assert (await running.manage("ready"))[0] == 200
    assert (await running.check("ann"))["allowed"]


async def test_without_redis_the_first_copy_comes_from_the_writer(
    writer: WriterDouble, start_sidecar: StartSidecar
) -> None:
    """A snapshot is complete and current at once, also a compressed one."""
    writer.compressed = True
    running = await start_sidecar(writer_url=writer.url)
    await until(lambda: running.project.replica.synced)
    answer = await running.check("bob", "seats", used="3")
    assert (answer["value"], answer["remaining"], answer["stale"]) == (5, 2, False)
    assert running.project.replica.copy is not None
    assert running.project.replica.copy.complete
    assert await running.metric("sidecar_loads_total") == 1


async def test_an_empty_redis_sends_the_start_to_the_writer(
    redis_url: str, writer: WriterDouble, start_sidecar: StartSidecar
) -> None:
    """Redis answers but holds nothing: the writer's snapshot is taken."""
    running = await start_sidecar(redis_url, writer.url)
    await until(lambda: running.project.replica.synced)
    assert running.project.source is Source.WRITER


async def test_a_refill_in_progress_is_not_a_start(
    redis_url: str, publisher: Publisher, writer: WriterDouble, start_sidecar: StartSidecar
) -> None:
    """While `billing:meta` carries a token Redis is not read from."""
    await publisher.meta(token="refill-1")
    running = await start_sidecar(redis_url, writer.url)
    await until(lambda: running.project.replica.synced)
    assert running.project.source is Source.WRITER


async def test_a_snapshot_that_ends_early_is_not_a_copy(writer: WriterDouble, start_sidecar: StartSidecar) -> None:
    """Without its end a snapshot has not been seen; the next whole one is taken."""
    writer.cut = True
    running = await start_sidecar(writer_url=writer.url)
    await until(lambda: writer.asked["snapshot"] >= 2)
    assert not running.project.replica.synced
    writer.cut = False
    await until(lambda: running.project.replica.synced)


async def test_a_change_during_the_load_is_not_lost(
    redis_url: str, publisher: Publisher, history: History, start_sidecar: StartSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sidecar subscribes before it loads: what is only published meanwhile is applied afterwards."""
    reading, go_on = asyncio.Event(), asyncio.Event()
    catalogue = RedisCache.catalogue

    async def slow(cache: RedisCache, project: object) -> object:
        reading.set()
        await go_on.wait()
        return await catalogue(cache, PROJECT)

    monkeypatch.setattr(RedisCache, "catalogue", slow)
    monkeypatch.setattr(redis_feed, "_FIRST_JITTER", 2.0)  # a load that did not wait for it would come first
    running = await start_sidecar(redis_url)
    await reading.wait()
    change = history.change("new", grant())
    await publisher.publish(wire.encode(change))  # and nowhere else
    go_on.set()
    await until(lambda: running.revision == change.position.revision)
    assert (await running.check("new"))["allowed"]


async def test_documents_newer_than_the_base_are_caught_up_with(
    redis_url: str, publisher: Publisher, history: History
) -> None:
    """A document written after meta is only trusted once the log was applied through it."""
    newer = history.change("ann", grant("seats", 9))
    other = history.change("bob")
    async with aclosing(connect(redis_url)) as nodes:
        cache = RedisCache(nodes, Refusals(Metrics()))
        await publisher.write(newer)
        loaded = await Bootstrap(PROJECT, cache, None, SystemClock()).load(Source.REDIS)
        assert not loaded.copy.consistent
        assert not loaded.copy.complete
        await publisher.log(newer)
        await publisher.write(other)
        await publisher.log(other)
        loaded = await Bootstrap(PROJECT, cache, None, SystemClock()).load(Source.REDIS)
    assert loaded.copy.position == history.position
    assert loaded.copy.compare(history.position, history.count, history.digest) is Compared.MATCHES


async def test_a_log_ahead_of_what_redis_says_does_not_hide_a_loss(
    redis_url: str, publisher: Publisher, history: History
) -> None:
    """The copy stops where Redis says that it stands, so that its digest is compared even while revisions pour in."""
    await publisher.log(history.change("cid", grant()))
    async with aclosing(connect(redis_url)) as nodes:
        bootstrap = Bootstrap(PROJECT, RedisCache(nodes, Refusals(Metrics())), None, SystemClock())
        assert (await bootstrap.load(Source.REDIS)).copy.complete
        await publisher.forget([keys.users(PROJECT)])
        assert (await bootstrap.load(Source.REDIS)).copy.faulty


async def test_redis_emptied_while_it_is_read_is_not_a_copy(redis_url: str, publisher: Publisher) -> None:
    """Half of a flushed Redis is refused."""
    async with aclosing(connect(redis_url)) as nodes:
        cache = RedisCache(nodes, Refusals(Metrics()))
        catalogue = cache.catalogue

        async def flushed(project: object) -> object:
            found = await catalogue(PROJECT)
            await nodes.send_everywhere([("FLUSHALL",)])
            return found

        cache.catalogue = flushed  # type: ignore[method-assign,assignment]
        with pytest.raises(UnreadableError):
            await Bootstrap(PROJECT, cache, None, SystemClock()).load(Source.REDIS)


async def test_a_missing_document_makes_the_copy_incomplete_and_the_writer_mends_it(
    redis_url: str, publisher: Publisher, writer: WriterDouble, start_sidecar: StartSidecar, heart: None
) -> None:
    """A Redis that evicted a document gives no complete copy; with a writer the snapshot is taken instead."""
    await publisher.forget([keys.document(UserId("bob"), PROJECT)])
    running = await start_sidecar(redis_url, writer.url)
    await until(lambda: running.project.replica.synced)
    assert running.project.source is Source.WRITER
    assert (await running.check("bob", "seats"))["allowed"]


async def test_without_a_writer_a_partial_redis_still_answers_what_it_holds(
    redis_url: str, publisher: Publisher, start_sidecar: StartSidecar
) -> None:
    """Hits are answered, and a miss is answered by the stale policy, marked stale."""
    await publisher.forget([keys.document(UserId("bob"), PROJECT)])
    running = await start_sidecar(redis_url, SIDECAR_ON_STALE="deny")
    await until(lambda: running.project.replica.synced)
    assert (await running.check("ann"))["allowed"]
    answer = await running.check("bob", "seats")
    assert (answer["reason"], answer["stale"]) == ("stale_denied", True)


async def test_unreadable_and_foreign_documents_are_refused_one_by_one(
    redis_url: str, publisher: Publisher, start_sidecar: StartSidecar
) -> None:
    """A document that is not one is counted and costs nobody else anything."""
    async with Redis.from_url(redis_url) as client:
        await client.set(keys.document(UserId("bob"), PROJECT), b"{not json")
        foreign = Document(UserId("eve"), History().project, 1, 2, Instant(0), ())
        data = documents.encode(foreign).replace(b'"shop"', b'"other"')
        await client.set(keys.document(UserId("eve"), PROJECT), data)
    running = await start_sidecar(redis_url)
    await until(lambda: running.project.replica.synced)
    assert (await running.check("ann"))["allowed"]
    assert await running.metric("sidecar_refused_messages_total") >= 2
