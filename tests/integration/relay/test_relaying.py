"""Every revision reaches Redis and sidecars, in order (invariants 4 and 5)."""

from redis.asyncio import Redis

from common import keys
from common.wire import CatalogChanged
from tests.support.history import grant
from tests.support.ledger import Ledger
from tests.support.relaying import StartRelay, Subscriber, document_at, log_at, meta_at
from tests.support.waiting import eventually, until


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
    assert [message.position for message in subscriber.changes] == [(head.epoch, n) for n in range(1, 33)]
    assert isinstance(subscriber.changes[0], CatalogChanged)
    assert [m.position for m in await log_at(redis, ledger.project, head.epoch)] == [
        (head.epoch, n) for n in range(1, 33)
    ]

    async def is_whole() -> bool:
        return await meta_at(redis, ledger.project) == head

    await eventually(is_whole)
    held = await document_at(redis, ledger.project, "user_1")
    assert held is not None
    assert held.position.revision == 31
    assert await redis.smembers(keys.users(ledger.project)) == {f"user_{n}".encode() for n in range(7)}
