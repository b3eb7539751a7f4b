"""A large project is read from Redis on a thread, hundreds of documents at a time, natively or not."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager

import pytest
import redis
from redis.asyncio import Redis

from common import document as documents
from common import keys
from common.clock import SystemClock
from common.identifiers import UserId
from common.settings import Secret
from sidecar import bulk, packing, redis_cache
from sidecar.bootstrap import Bootstrap, Loaded
from sidecar.bulk import BulkReader, _Reading
from sidecar.filling import Batch, Filling
from sidecar.metrics import Metrics
from sidecar.redis_cache import RedisCache, connect
from sidecar.refusals import Refusals
from sidecar.sources import Source, UnavailableError
from tests.support.history import PROJECT, History, grant
from tests.support.sidecars import publishing


def large(users: int = 300) -> History:
    """A project of many users who hold different things; some of their ids are unusual."""
    history = History()
    for number in range(users):
        name = f"user:{number}" if number % 5 else f"üser {number}"
        rows = [grant(), grant("seats", number % 11)] if number % 3 else [grant("config", {"b": number, "a": [1.5]})]
        history.change(name, *rows[: 1 + number % 2])
    history.change("gone", grant())
    history.change("gone")
    return history


@contextmanager
def everything_is_large(patch: pytest.MonkeyPatch) -> Iterator[Metrics]:
    """Every project is read as a large one."""
    patch.setattr(redis_cache, "WORTH_IT", 0)
    yield Metrics()


async def load(url: str, metrics: Metrics, reach: str | None = None) -> Loaded:
    """A start from Redis."""
    async with aclosing(connect(url)) as nodes:
        cache = RedisCache(nodes, Refusals(metrics), BulkReader(Secret(reach or url)))
        return await Bootstrap(PROJECT, cache, None, SystemClock()).load(Source.REDIS)


@pytest.fixture(params=[True, False], ids=["native", "python"])
def metrics(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Metrics]:
    """What is counted; every project is read as a large one, with the native part and without."""
    if not request.param:
        monkeypatch.setattr(packing, "_native", None)
    with everything_is_large(monkeypatch) as counted:
        yield counted


async def test_a_large_project_becomes_one_whole_copy(redis_url: str, metrics: Metrics) -> None:
    """Every document is there once, the digest matches, and what changes afterwards finds its place."""
    history = large()
    async with publishing(redis_url, history):
        copy = (await load(redis_url, metrics)).copy
    assert copy.complete
    assert (copy.position, copy.count, copy.digest) == (history.position, history.count, history.digest)
    assert all(copy.document(user) == history.documents[user] for user in copy.records)
    for number in range(400):
        copy.apply(history.change(f"user:{number}", grant("seats", number)))
    assert (copy.count, copy.digest) == (history.count, history.digest)


async def test_what_is_no_document_is_refused(redis_url: str, metrics: Metrics) -> None:
    """Each is counted and costs nobody else anything; the copy is not whole, and says so."""
    history = large(40)
    foreign = documents.encode(history.documents[UserId("user:1")]).replace(b'"shop"', b'"spot"')
    other = documents.encode(history.documents[UserId("user:2")])
    async with publishing(redis_url, history), Redis.from_url(redis_url) as client:
        await client.set(keys.document(UserId("user:1"), PROJECT), foreign)
        await client.set(keys.document(UserId("user:3"), PROJECT), b"{")
        await client.set(keys.document(UserId("user:4"), PROJECT), other)
        copy = (await load(redis_url, metrics)).copy
    assert copy.faulty
    assert copy.count == history.count - 3
    assert copy.document(UserId("user:2")) == history.documents[UserId("user:2")]
    counted = metrics.refused.labels(PROJECT, "documents_unreadable")._value.get()
    assert counted == 3


async def test_documents_that_change_while_they_are_read_are_caught_up_with(redis_url: str, metrics: Metrics) -> None:
    """A document newer than what Redis said at first is trusted once the log was applied through it."""
    history = large(40)
    async with publishing(redis_url, history) as publisher:
        newer = history.change("user:1", grant("seats", 9))
        await publisher.write(newer)
        copy = (await load(redis_url, metrics)).copy
        assert not copy.consistent
        await publisher.log(newer)
        copy = (await load(redis_url, metrics)).copy
    assert copy.position == history.position
    assert copy.digest == history.digest


async def test_a_start_that_is_given_up_leaves_nobody_reading(
    redis_url: str, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it is given up: on the way to a connection, or while documents come."""
    reading = list[object]()
    original = _Reading.run

    def run(self: _Reading) -> None:
        reading.append(self)
        try:
            original(self)
        finally:
            reading.remove(self)

    monkeypatch.setattr(_Reading, "run", run)
    async with publishing(redis_url, large(40)):
        for turns in range(12):
            start = asyncio.create_task(load(redis_url, metrics))
            while not reading and not start.done():  # noqa: ASYNC110 - nobody tells that a thread has begun
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            assert not reading


async def test_a_redis_that_is_away_is_told_as_such_without_its_password(metrics: Metrics, redis_url: str) -> None:
    """The whole start counts as unavailable."""
    async with publishing(redis_url, large(4)):
        with pytest.raises(UnavailableError) as refused:
            await load(redis_url, metrics, reach="redis://:hidden-password@127.0.0.1:1/0")
    assert "hidden" not in str(refused.value)


async def test_a_redis_that_ends_while_documents_come_is_told_as_such(
    metrics: Metrics, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read by then is nobody's copy."""
    monkeypatch.setattr(bulk, "AT_ONCE", 8)
    original = Filling.take

    def cut_off(self: Filling, batch: Batch) -> Iterator[None]:
        with redis.Redis.from_url(redis_url) as client:
            client.client_kill_filter(_type="normal", skipme=True)
        return original(self, batch)

    async with publishing(redis_url, large()):
        monkeypatch.setattr(Filling, "take", cut_off)
        with pytest.raises(UnavailableError):
            await load(redis_url, metrics)


def test_only_large_projects_are_worth_a_thread() -> None:
    """A small project is read by the connection that is there."""
    assert bulk.WORTH_IT >= 10_000
    assert "hidden" not in repr(BulkReader(Secret("redis://:hidden@h")).__dict__)
