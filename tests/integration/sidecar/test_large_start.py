"""A large project is read from Redis by several processes, each its share; together they are one copy."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from common import document as documents
from common import keys
from common.clock import SystemClock
from common.identifiers import UserId
from common.settings import Secret
from sidecar import redis_cache, shares
from sidecar.bootstrap import Bootstrap, Loaded
from sidecar.metrics import Metrics
from sidecar.redis_cache import RedisCache, connect
from sidecar.refusals import Refusals
from sidecar.shares import Shares
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
    """Every project is read in shares."""
    patch.setattr(redis_cache, "WORTH_IT", 0)
    yield Metrics()


async def load(url: str, metrics: Metrics, processes: int, reach: str | None = None) -> Loaded:
    """A start from Redis, read in shares."""
    async with aclosing(connect(url)) as nodes:
        cache = RedisCache(nodes, Refusals(metrics), Shares(Secret(reach or url), processes))
        return await Bootstrap(PROJECT, cache, None, SystemClock()).load(Source.REDIS)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Iterator[Metrics]:
    """What is counted; every project is read in shares."""
    with everything_is_large(monkeypatch) as counted:
        yield counted


@pytest.mark.parametrize("processes", [1, 3])
async def test_shares_make_one_whole_copy(redis_url: str, metrics: Metrics, processes: int) -> None:
    """Every document is there once, the digest matches, and what changes afterwards finds its place."""
    history = large()
    async with publishing(redis_url, history):
        copy = (await load(redis_url, metrics, processes)).copy
    assert copy.complete
    assert (copy.position, copy.count, copy.digest) == (history.position, history.count, history.digest)
    assert all(copy.document(user) == history.documents[user] for user in copy.records)
    for number in range(400):
        copy.apply(history.change(f"user:{number}", grant("seats", number)))
    assert (copy.count, copy.digest) == (history.count, history.digest)


async def test_what_is_no_document_is_refused_in_shares_too(redis_url: str, metrics: Metrics) -> None:
    """Each is counted and costs nobody else anything; the copy is not whole, and says so."""
    history = large(40)
    foreign = documents.encode(history.documents[UserId("user:1")]).replace(b'"shop"', b'"spot"')
    other = documents.encode(history.documents[UserId("user:2")])
    async with publishing(redis_url, history), Redis.from_url(redis_url) as client:
        await client.set(keys.document(UserId("user:1"), PROJECT), foreign)
        await client.set(keys.document(UserId("user:3"), PROJECT), b"{")
        await client.set(keys.document(UserId("user:4"), PROJECT), other)
        copy = (await load(redis_url, metrics, 2)).copy
    assert copy.faulty
    assert copy.count == history.count - 3
    assert copy.document(UserId("user:2")) == history.documents[UserId("user:2")]
    counted = metrics.refused.labels(PROJECT, "documents_unreadable")._value.get()
    assert counted == 3


async def test_documents_that_change_while_shares_are_read_are_caught_up_with(redis_url: str, metrics: Metrics) -> None:
    """A document newer than what Redis said at first is trusted once the log was applied through it."""
    history = large(40)
    async with publishing(redis_url, history) as publisher:
        newer = history.change("user:1", grant("seats", 9))
        await publisher.write(newer)
        copy = (await load(redis_url, metrics, 2)).copy
        assert not copy.consistent
        await publisher.log(newer)
        copy = (await load(redis_url, metrics, 2)).copy
    assert copy.position == history.position
    assert copy.digest == history.digest


async def test_where_no_process_can_be_started_one_reads_alone(
    redis_url: str, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start takes longer, and comes."""
    history = large(40)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with publishing(redis_url, history):
        assert (await load(redis_url, metrics, 2)).copy.complete


async def test_a_process_that_dies_is_no_loss(
    redis_url: str, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it did not bring is read alone."""
    history = large(40)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with publishing(redis_url, history):
        assert (await load(redis_url, metrics, 2)).copy.complete


async def test_a_start_that_is_given_up_leaves_no_process(redis_url: str, metrics: Metrics) -> None:
    """Whenever it is given up: on the way to a process, or with one that reads."""
    async with publishing(redis_url, large(40)):
        for turns in range(8):
            start = asyncio.create_task(load(redis_url, metrics, 2))
            while not readers():  # noqa: ASYNC110 - nobody tells that a process has begun
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            assert not readers()


def readers() -> list[str]:
    """The processes of ours that read shares."""
    folders = Path("/proc/self/task").glob("*/children")
    children = [pid for folder in folders for pid in folder.read_text(encoding="ascii").split()]
    return [pid for pid in children if b"share_reader" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_a_redis_that_is_away_is_told_as_such_without_its_password(metrics: Metrics, redis_url: str) -> None:
    """A process that cannot connect says so; the whole start counts as unavailable."""
    async with publishing(redis_url, large(4)):
        with pytest.raises(UnavailableError) as refused:
            await load(redis_url, metrics, 2, reach="redis://:hidden-password@127.0.0.1:1/0")
    assert "hidden" not in str(refused.value)


def test_only_large_projects_are_worth_processes() -> None:
    """A small project is read before a process would have begun."""
    assert shares.WORTH_IT >= 10_000
    assert "hidden" not in repr(Shares(Secret("redis://:hidden@h")).__dict__)
