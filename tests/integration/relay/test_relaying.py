"""Every revision reaches Redis and sidecars, in order, at least once (invariants 4 and 5)."""

import asyncio

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from common import keys
from common.identifiers import UserId
from common.position import Position
from common.wire import CatalogChanged, UserChanged
from tests.support.history import grant
from tests.support.ledger import Ledger
from tests.support.redis import StartRedis
from tests.support.relaying import LooseRelay, Relaying, StartRelay, Subscriber, document_at, log_at, meta_at
from tests.support.waiting import eventually, until


async def _is_whole(redis: Redis, ledger: Ledger) -> bool:
    return await meta_at(redis, ledger.project) == await ledger.head()


async def test_publishes_every_revision_in_order(
    ledger: Ledger, redis: Redis, redis_url: str, start_relay: StartRelay
) -> None:
    """Each revision arrives once, without a gap, on the channel and in the change log, catalogues among them."""
    async with Subscriber(redis_url, ledger.project) as subscriber:
        relaying = await start_relay()
        await ledger.edit("pro")
        for number in range(30):
            await ledger.change(f"user_{number % 7}", grant())
            relaying.wakeup.notify()
        await ledger.edit("pro", "max")
        relaying.wakeup.notify()
        await until(lambda: subscriber.reached(32))
    head = await ledger.head()
    every = [(head.epoch, number) for number in range(1, 33)]
    assert [message.position for message in subscriber.changes] == every
    assert isinstance(subscriber.changes[0], CatalogChanged)
    assert [message.position for message in await log_at(redis, ledger.project, head.epoch)] == every
    await eventually(lambda: _is_whole(redis, ledger))
    held = await document_at(redis, ledger.project, "user_1")
    assert held is not None
    assert held.position.revision == 31
    assert await redis.smembers(keys.users(ledger.project)) == {f"user_{n}".encode() for n in range(7)}


async def test_notices_what_another_process_committed(ledger: Ledger, redis_url: str, start_relay: StartRelay) -> None:
    """Without any nudge the short poll finds a revision."""
    async with Subscriber(redis_url, ledger.project) as subscriber:
        await start_relay()
        await until(lambda: bool(subscriber.heartbeats))
        await ledger.change("ada", grant())
        await until(lambda: subscriber.reached(1))


async def test_heartbeats_say_how_far_the_project_is(ledger: Ledger, redis_url: str, start_relay: StartRelay) -> None:
    """A heartbeat stands at a relayed revision, with the count and digest of exactly there, and at the head."""
    async with Subscriber(redis_url, ledger.project) as subscriber:
        await start_relay()
        await ledger.change("ada", grant())
        await ledger.change("bob", grant())
        await ledger.change("bob")
        await until(lambda: bool(subscriber.heartbeats) and subscriber.heartbeats[-1].revision == 3)
    beat = subscriber.heartbeats[-1]
    (row,) = await ledger.query("SELECT user_count, digest FROM projects")
    assert (beat.head, beat.count, beat.digest) == (3, 1, int.from_bytes(row.digest, "big"))
    assert row.user_count == 1


async def test_an_empty_document_is_written_instead_of_a_deletion(
    ledger: Ledger, redis: Redis, redis_url: str, start_relay: StartRelay
) -> None:
    """Who loses everything keeps a document without entitlements, for a day."""
    async with Subscriber(redis_url, ledger.project) as subscriber:
        await start_relay()
        await ledger.change("ada", grant())
        await ledger.change("ada")
        await until(lambda: subscriber.reached(2))
    held = await document_at(redis, ledger.project, "ada")
    assert held is not None
    assert held.entitlements == ()
    assert 0 < await redis.ttl(keys.document(held.user_id, ledger.project)) <= keys.EMPTY_DOCUMENT_SECONDS
    last = subscriber.changes[-1]
    assert isinstance(last, UserChanged)
    assert last.document.entitlements == ()


async def test_documents_live_as_long_as_the_cache_ttl(
    ledger: Ledger, redis: Redis, redis_url: str, start_relay: StartRelay
) -> None:
    """With CACHE_TTL a document expires, and without it never does."""
    async with Subscriber(redis_url, ledger.project) as subscriber:
        await start_relay(cache_ttl=60.0)
        await ledger.change("ada", grant())
        await until(lambda: subscriber.reached(1))
    key = keys.document(UserId("ada"), ledger.project)
    assert 0 < await redis.ttl(key) <= 60
    await redis.expire(key, 20)

    async def is_renewed() -> bool:
        return await redis.ttl(key) > 30

    await eventually(is_renewed)


async def test_republishing_what_was_published_changes_nothing(
    ledger: Ledger, redis: Redis, redis_url: str, engine: AsyncEngine
) -> None:
    """After a death between publishing and moving the cursor, all is published again, to no effect."""
    await ledger.change("ada", grant())
    await ledger.change("ada")
    await ledger.change("ada", grant("max"))
    async with LooseRelay(engine, redis_url, "first") as first, Subscriber(redis_url, ledger.project) as subscriber:
        await first.take()
        first.forget_cursor()
        await first.relay.turn()
        before = [await redis.dump(key) for key in sorted(await redis.keys())]
        async with LooseRelay(engine, redis_url, "second") as second:
            await ledger.query("UPDATE relay_leases SET expires_at = now() - interval '1 second'")
            await second.take()
            assert second.relay.lease.cursor == Position(0, 0)
            await second.relay.turn()
        await until(lambda: len(subscriber.changes) == 6)
        assert [await redis.dump(key) for key in sorted(await redis.keys())] == before


async def test_a_relay_that_was_paused_changes_nothing_when_it_wakes(
    ledger: Ledger, redis: Redis, redis_url: str, engine: AsyncEngine
) -> None:
    """What a late relay still writes is older everywhere: all keys stay as its successor left them."""
    async with LooseRelay(engine, redis_url, "paused") as paused, LooseRelay(engine, redis_url, "next") as following:
        await ledger.change("ada", grant())
        await ledger.change("bob", grant())
        await paused.take()
        late = await paused.backlog.page(ledger.project_id, Position((await ledger.head()).epoch, 0), 10)
        await ledger.query("UPDATE relay_leases SET expires_at = now() - interval '1 second'")
        await following.take()
        await ledger.change("ada")
        await ledger.change("bob", grant("max"))
        await following.relay.turn()
        await following.refill()
        before = {key: await redis.dump(key) for key in await redis.keys()}
        await paused.write_without_looking(late.entries)
        assert {key: await redis.dump(key) for key in await redis.keys()} == before
        assert not await paused.leases.advance(paused.relay.lease, late.entries[-1].position)
    assert (await document_at(redis, ledger.project, "ada")).entitlements == ()  # type: ignore[union-attr]


async def test_two_relays_at_once_leave_the_same_state_as_one(
    ledger: Ledger, redis: Redis, redis_url: str, engine: AsyncEngine
) -> None:
    """Even if two believe in their lease, documents, log and meta end at the newest revision, in order."""
    async with LooseRelay(engine, redis_url, "one") as one, LooseRelay(engine, redis_url, "two") as two:
        await one.take()
        await ledger.query("UPDATE relay_leases SET expires_at = now() - interval '1 second'")
        await two.take()
        one.forget_cursor()
        two.forget_cursor()
        for number in range(20):
            await ledger.change(f"user_{number % 3}", *([grant()] if number % 2 else []))
            await asyncio.gather(one.relay.turn(), two.relay.turn())
        await two.refill()
    head = await ledger.head()
    assert [m.position.revision for m in await log_at(redis, ledger.project, head.epoch)] == list(range(1, 21))
    assert await meta_at(redis, ledger.project) == head
    for number in (17, 18, 19):
        held = await document_at(redis, ledger.project, f"user_{number % 3}")
        assert held is not None
        assert held.position.revision == number + 1


async def test_an_outage_of_redis_delays_and_loses_nothing(
    ledger: Ledger, redis_server: StartRedis, start_relay: StartRelay
) -> None:
    """What was committed while Redis was dead is published once it is back, empty, and Redis is made whole."""
    server = await redis_server()
    relaying: Relaying = await start_relay(url=server.url)
    await ledger.change("ada", grant())
    await until(lambda: relaying.sample("billing_relay_published_total", project="shop") >= 1)
    await server.kill()
    await ledger.change("bob", grant())
    await until(lambda: relaying.sample("billing_redis_up") == 0)
    await server.start()
    async with Redis.from_url(server.url) as redis:
        await eventually(lambda: _is_whole(redis, ledger))
        assert await document_at(redis, ledger.project, "ada") is not None
        assert await document_at(redis, ledger.project, "bob") is not None
        assert await redis.exists(keys.catalog(ledger.project), keys.users(ledger.project)) == 2
    assert relaying.sample("billing_redis_up") == 1
