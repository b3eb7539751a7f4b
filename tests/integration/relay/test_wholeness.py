"""Redis may lose any key, or all of them: the lease holder notices and makes it whole again (invariants 6 and 11)."""

from collections.abc import Callable

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from common import document as documents
from common import keys
from common.document import Document
from common.identifiers import UserId
from tests.support.history import grant
from tests.support.ledger import CLOCK, Ledger
from tests.support.relaying import (
    LooseRelay,
    Relaying,
    StartRelay,
    Subscriber,
    document_at,
    meta_at,
)
from tests.support.waiting import eventually, until
from tests.support.wholeness import is_whole
from writer.relay.refill import Refilled

WHOLE_SECONDS = 5.0


class Repaired:
    """Who was told of as repaired, and whether he needs a new revision."""

    def __init__(self) -> None:
        self.users: dict[UserId, bool] = {}

    def __call__(self, user: UserId, *, anew: bool = False) -> None:
        """It was he."""
        self.users[user] = anew


async def _fill(ledger: Ledger, redis: Redis, users: int = 40) -> None:
    await ledger.edit("pro")
    await ledger.change_many({f"user_{n}": [grant()] for n in range(users)})
    await ledger.change("gone", grant())
    await ledger.change("gone")
    await eventually(lambda: is_whole(ledger, redis))


async def test_flushall_is_made_good(ledger: Ledger, redis: Redis, start_relay: StartRelay) -> None:
    """After FLUSHALL documents, users, catalogue, change log and meta are all back within five seconds."""
    relaying = await start_relay()
    await _fill(ledger, redis)
    await redis.flushall()
    await eventually(lambda: is_whole(ledger, redis), WHOLE_SECONDS)
    assert relaying.recomputed == []


async def test_changes_go_on_while_redis_is_refilled(
    ledger: Ledger, redis: Redis, redis_url: str, start_relay: StartRelay
) -> None:
    """Publishing does not wait for a refill, and the refill ends whole although revisions arrive meanwhile."""
    async with Subscriber(redis_url, ledger.project) as subscriber:
        await start_relay()
        await _fill(ledger, redis, users=2_500)
        for number in range(30):
            if number % 10 == 0:
                await redis.flushall()
            await ledger.change(f"user_{number}", grant("max"))
        head = await ledger.head()
        await until(lambda: subscriber.reached(head.revision))

    async def documents_are_whole() -> bool:
        return await meta_at(redis, ledger.project) == head and await redis.scard(keys.users(ledger.project)) == 2_500

    await eventually(documents_are_whole)
    heard = [message.position.revision for message in subscriber.changes]
    assert sorted(set(heard)) == list(range(1, head.revision + 1))


@pytest.mark.parametrize(
    "lost",
    ["entitlements:user_7:shop", "entitlements:gone:shop", "billing:meta:shop", "billing:users:shop",
     "billing:catalog:shop", "billing:changes"],
)  # fmt: skip
async def test_a_deleted_key_comes_back(ledger: Ledger, redis: Redis, start_relay: StartRelay, lost: str) -> None:
    """Each kind of key that somebody deletes is back within five seconds."""
    await start_relay()
    await _fill(ledger, redis)
    key = keys.changes((await ledger.head()).epoch, ledger.project) if lost == "billing:changes" else lost
    assert await redis.delete(key) == 1
    await eventually(lambda: is_whole(ledger, redis), WHOLE_SECONDS)


async def test_whose_document_was_deleted_is_computed_again(
    ledger: Ledger, redis: Redis, start_relay: StartRelay
) -> None:
    """A document that somebody deleted is written again, and its user is computed from the sources."""
    relaying: Relaying = await start_relay()
    await _fill(ledger, redis)
    await redis.delete(keys.document(UserId("user_3"), ledger.project))
    await until(lambda: bool(relaying.recomputed), WHOLE_SECONDS)
    assert set(relaying.recomputed) == {(ledger.project_id, UserId("user_3"))}
    assert relaying.sample("billing_cache_repairs_total", project="shop") >= 1


def _unreadable(data: bytes) -> bytes:
    return data[:-20]


def _richer(data: bytes) -> bytes:
    return data.replace(b'"pro"', b'"max"')


@pytest.mark.parametrize("change", [_unreadable, _richer])
async def test_a_document_that_somebody_changed_is_set_right(
    ledger: Ledger, redis: Redis, start_relay: StartRelay, change: Callable[[bytes], bytes]
) -> None:
    """Unreadable or altered content, even at the same revision, is replaced by what Postgres has."""
    await start_relay()
    await _fill(ledger, redis)
    key = keys.document(UserId("user_3"), ledger.project)
    data = await redis.get(key)
    assert isinstance(data, bytes)
    await redis.set(key, change(data))
    await eventually(lambda: is_whole(ledger, redis), WHOLE_SECONDS)


async def test_keys_of_a_wrong_type_are_set_right(ledger: Ledger, redis: Redis, start_relay: StartRelay) -> None:
    """A text where a hash, a set, a stream or a document belongs does not stop the relay, and is replaced."""
    await start_relay()
    await _fill(ledger, redis)
    head = await ledger.head()
    for key in (keys.users(ledger.project), keys.changes(head.epoch, ledger.project), keys.meta(ledger.project)):
        await redis.delete(key)
        await redis.set(key, "nonsense")
    await redis.delete(keys.document(UserId("user_3"), ledger.project))
    await redis.lpush(keys.document(UserId("user_3"), ledger.project), "nonsense")
    await ledger.change("ada", grant())
    await eventually(lambda: is_whole(ledger, redis), WHOLE_SECONDS)


async def test_the_scrub_finds_what_nobody_reported(
    ledger: Ledger, redis: Redis, redis_url: str, engine: AsyncEngine
) -> None:
    """A walk over all documents mends missing ones, lists who is not listed and takes out who is long gone."""
    await ledger.change_many({f"user_{n}": [grant()] for n in range(3)})
    await ledger.change("gone")
    await ledger.query("UPDATE documents SET computed_at = now() - interval '2 days' WHERE user_id = 'gone'")
    repaired = Repaired()
    async with LooseRelay(engine, redis_url, "writer") as loose:
        await loose.take()
        await loose.relay.turn()
        repair = loose.repair(repaired)
        await redis.delete(keys.document(UserId("user_1"), ledger.project))
        await redis.srem(keys.users(ledger.project), "user_2")
        await redis.sadd(keys.users(ledger.project), "gone")
        while await repair.scrub():
            pass
    assert repaired.users == {UserId("user_1"): False}
    assert await document_at(redis, ledger.project, "user_1") is not None
    assert await redis.smembers(keys.users(ledger.project)) == {b"user_0", b"user_1", b"user_2"}


async def test_a_revision_that_was_undone_is_followed_by_a_new_one(
    ledger: Ledger, redis: Redis, start_relay: StartRelay
) -> None:
    """A document that stands beyond its user's last revision, but not beyond the head, is overtaken."""
    await start_relay()
    await _fill(ledger, redis)
    head = await ledger.head()
    undone = Document(UserId("user_3"), ledger.project, *head, CLOCK.now(), (grant("max"),))
    await redis.set(keys.document(undone.user_id, ledger.project), documents.encode(undone))
    await eventually(lambda: is_whole(ledger, redis), WHOLE_SECONDS)
    held = await document_at(redis, ledger.project, "user_3")
    assert held is not None
    assert held.position > head
    assert [row.feature_code for row in held.entitlements] == [grant().feature_code]


@pytest.mark.parametrize("listed", [False, True], ids=["reported", "listed"])
async def test_who_is_granted_something_at_redis_and_unknown_in_postgres_holds_nothing_afterwards(
    ledger: Ledger, redis: Redis, redis_url: str, engine: AsyncEngine, listed: bool
) -> None:
    """A user of whom a rollback left nothing is found when reported, and by the walk over the users set."""
    await ledger.change("ada", grant())
    async with LooseRelay(engine, redis_url, "writer") as loose:
        await loose.take()
        await loose.relay.turn()
        repaired = Repaired()
        repair = loose.repair(repaired)
        ghost = Document(UserId("ghost"), ledger.project, *await ledger.head(), CLOCK.now(), (grant("max"),))
        await redis.set(keys.document(ghost.user_id, ledger.project), documents.encode(ghost))
        if listed:
            await redis.sadd(keys.users(ledger.project), "ghost")
            while await repair.scrub():
                pass
        else:
            assert await repair.users([UserId("ghost")])
    held = await document_at(redis, ledger.project, "ghost")
    assert held is not None
    assert held.entitlements == ()
    assert held.position == await ledger.head()
    assert not repaired.users


async def test_a_refill_that_was_flushed_midway_does_not_claim_to_be_whole(
    ledger: Ledger, redis: Redis, redis_url: str, engine: AsyncEngine
) -> None:
    """Another FLUSHALL between a refill's begin and end is noticed at its end; the next one ends whole."""
    await ledger.edit("pro")
    await ledger.change_many({f"user_{n}": [grant()] for n in range(3)})
    async with LooseRelay(engine, redis_url, "writer") as loose:
        await loose.take()
        await loose.relay.turn()
        loose.interrupt_refill(redis.flushall)
        assert await loose.refill() is Refilled.AGAIN
        assert await meta_at(redis, ledger.project) is None
        assert await loose.refill() is Refilled.WHOLE
    assert await is_whole(ledger, redis)


async def test_a_refill_from_a_database_that_went_back_does_not_claim_what_was_relayed_before(
    ledger: Ledger, redis: Redis, redis_url: str, engine: AsyncEngine
) -> None:
    """Until the new epoch begins Redis is said to hold nothing: what was relayed before the restore is not in it."""
    await ledger.change_many({f"user_{n}": [grant()] for n in range(3)})
    async with LooseRelay(engine, redis_url, "writer") as loose:
        await loose.take()
        await loose.relay.turn()
        await redis.flushall()
        await ledger.query("DELETE FROM documents WHERE revision = 3")
        await ledger.query("UPDATE projects SET revision = 2")
        assert await loose.refill() is Refilled.AGAIN
        assert await meta_at(redis, ledger.project) is None


async def test_a_refill_left_over_by_a_dead_writer_is_done_again(
    ledger: Ledger, redis: Redis, redis_url: str, engine: AsyncEngine, start_relay: StartRelay
) -> None:
    """A token that nobody works for is no promise: the next holder refills."""
    await ledger.change("ada", grant())
    async with LooseRelay(engine, redis_url, "dead") as dead:
        await dead.take()
        await dead.relay.turn()
        await dead.copy.begin_refill(ledger.project, "token-of-the-dead")
    await start_relay()

    async def is_whole() -> bool:
        return await meta_at(redis, ledger.project) == await ledger.head()

    await eventually(is_whole)


async def test_what_is_missing_while_redis_is_in_doubt_is_left_to_the_refill(
    ledger: Ledger, redis: Redis, redis_url: str
) -> None:
    """A Redis that was emptied while single documents were looked at is no reason to compute everybody again."""
    async with LooseRelay(ledger.engine, redis_url, "writer") as relay:
        await relay.take()
        await ledger.change("ada", grant())
        await relay.relay.turn()
        repaired = Repaired()
        settled = False
        repair = relay.repair(repaired, lambda: settled)
        await redis.flushall()
        assert not await repair.users([UserId("ada")])
        assert await repair.scrub()
        assert not repaired.users
        settled = True
        assert await repair.users([UserId("ada")])
        assert repaired.users == {UserId("ada"): False}
