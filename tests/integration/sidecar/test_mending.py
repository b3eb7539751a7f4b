"""What a sidecar mends by itself: wrong copies, new epochs, what it cannot read."""

import asyncio

import orjson
from redis.asyncio import Redis

from common import document as documents
from common import keys, wire
from common.clock import SystemClock
from common.document import Document
from common.identifiers import UserId
from common.wire import UserChanged
from tests.support.history import PROJECT, START, History, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar, in_step, until
from tests.support.writer_double import WriterDouble


async def test_a_flushed_redis_changes_no_answer(
    running: Running, publisher: Publisher, history: History, redis_url: str, heart: None
) -> None:
    """FLUSHALL, a refill and what follows: the copy is never replaced by less."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        assert (await running.check("ann"))["allowed"]
        await publisher.refill()
    history.change("one", grant())
    await publisher.relay()
    await in_step(running, history)
    assert (await running.check("ann"))["allowed"]


async def test_a_wrong_copy_is_found_by_its_digest_and_repaired(
    running: Running, publisher: Publisher, history: History, writer: WriterDouble, redis_url: str
) -> None:
    """A document that differs is found, the copy loaded afresh from the writer, and the user named in presence."""
    copy = running.project.replica.copy
    assert copy is not None
    wrong = Document(UserId("ann"), PROJECT, 1, 2, START, (grant("seats", 99),))
    copy.digest ^= documents.digest_of(wrong) ^ documents.digest_of(history.documents[UserId("ann")])
    copy.records.put(wrong)
    assert copy.document(UserId("ann")) == wrong  # asked by itself: the writer's heartbeats may find it at any time
    await publisher.heartbeat()
    await until(lambda: running.project.differing == ("ann",))
    await in_step(running, history)
    assert (await running.check("ann"))["allowed"]
    assert await running.metric("sidecar_digest_mismatches_total") == 1
    async with Redis.from_url(redis_url) as client, asyncio.timeout(20):
        presence = None
        while presence is None or orjson.loads(presence)["differing"] != ["ann"]:
            presence = await client.get(keys.sidecar(PROJECT, "sidecar-under-test"))
            await asyncio.sleep(0.02)
        found = orjson.loads(presence)
        assert (found["epoch"], found["revision"], found["complete"]) == (*history.position, True)
        assert found["digest"] == wire.format_digest(history.digest)
        assert await client.ttl(keys.sidecar(PROJECT, "sidecar-under-test")) > 0
        assert await client.zscore(keys.sidecars(PROJECT), "sidecar-under-test") is not None


async def test_a_copy_that_differs_answers_misses_by_asking(
    running: Running, publisher: Publisher, history: History, writer: WriterDouble
) -> None:
    """Until a repair has matched, what the copy holds is answered, and a miss is asked of the writer."""
    writer.history = History()  # its snapshot is older, so that the repair brings nothing better
    heartbeat = history.heartbeat()
    await publisher.heartbeat(wire.Heartbeat(heartbeat.epoch, heartbeat.revision, heartbeat.head, 9, 9, START))
    copy = running.project.replica.copy
    assert copy is not None
    await until(lambda: not copy.complete)
    assert (await running.check("ann"))["allowed"]
    assert (await running.check("stranger"))["reason"] == "not_granted"
    assert writer.asked["entitlements"] == 1
    assert running.project.replica.copy is copy


async def test_an_older_epoch_never_moves_us_back(running: Running, publisher: Publisher, history: History) -> None:
    """Messages and heartbeats of a lineage that was given up are passed over."""
    history.raise_epoch()
    history.change("one", grant())
    await publisher.relay()
    await publisher.heartbeat()
    await in_step(running, history)
    old = History(epoch=1)
    for _ in range(20):
        change = old.change("ann")
    await publisher.publish(wire.encode(change))
    await publisher.publish(wire.encode(old.heartbeat()))
    await publisher.heartbeat()
    history.change("two", grant())
    await publisher.relay()
    await in_step(running, history)
    assert (await running.check("ann"))["allowed"]


async def test_a_new_epoch_is_loaded_afresh(
    running: Running, publisher: Publisher, history: History, writer: WriterDouble, redis_url: str
) -> None:
    """A lineage that begins at a lower revision takes the place of the old one."""
    restored = History(epoch=7)
    restored.change("ann")
    writer.history = restored
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        other = Publisher(client, restored)
        await other.relay()
        await other.heartbeat()
        await in_step(running, restored)
    assert not (await running.check("ann"))["allowed"]


async def test_a_copy_ahead_of_the_writer_stays_and_says_so(
    history: History, writer: WriterDouble, start_sidecar: StartSidecar
) -> None:
    """The writer was restored to an older state: answers stay until it raises its epoch."""
    running = await start_sidecar(writer_url=writer.url)
    await in_step(running, history)
    older = History()
    writer.history = older
    await until(lambda: running.project.ahead(SystemClock().monotonic()))
    assert (await running.check("ann"))["allowed"]
    assert '"ahead":true' in (await running.manage("status"))[1]
    older.raise_epoch()
    await in_step(running, older)
    assert not running.project.ahead(SystemClock().monotonic())


async def test_what_cannot_be_read_is_refused_and_repaired_as_a_gap(
    running: Running, publisher: Publisher, history: History
) -> None:
    """Junk, a future version and another project's message are counted; the revision comes by another way."""
    change = history.change("one", grant())
    good = wire.to_json(change)
    await publisher.publish(b"\xff not a message")
    await publisher.publish(orjson.dumps({**good, "v": 99}))
    await publisher.publish(orjson.dumps({**good, "document": {**good["document"], "project_id": "other"}}))
    await publisher.write(change)
    await publisher.log(change, b"junk")
    history.change("two", grant())
    await publisher.publish(wire.encode(history.changes[-1]))
    await in_step(running, history)
    assert await running.metric("sidecar_refused_messages_total") >= 4


async def test_following_the_writer_goes_page_by_page(
    history: History, writer: WriterDouble, start_sidecar: StartSidecar
) -> None:
    """Changes that do not fit a page are asked for again until the head is reached."""
    running = await start_sidecar(writer_url=writer.url)
    await in_step(running, history)
    writer.page = 3
    for number in range(20):
        history.change(f"user {number}", grant())
    await in_step(running, history)
    assert writer.asked["snapshot"] == 1


async def test_a_stalled_project_stalls_no_other(
    redis_url: str, publisher: Publisher, history: History, start_sidecar: StartSidecar, writer: WriterDouble
) -> None:
    """Of two projects one has nothing to load from: the other is answered, and only readiness waits."""
    keys_of_both = {"SIDECAR_PROJECT": "shop,nowhere", "SIDECAR_API_KEY": "project-key-of-shop,other"}
    running = await start_sidecar(redis_url, writer.url, **keys_of_both)
    await until(lambda: running.project.replica.synced)
    assert (await running.check("ann", project_id="shop"))["allowed"]
    history.change("one", grant())
    await publisher.relay()
    await in_step(running, history)
    assert (await running.manage("ready"))[0] == 503
    status, problem = await running.get("check", user_id="ann", feature="pro", project_id="nowhere")
    assert (status, problem["code"]) == (503, "not_synced")
    status, problem = await running.get("check", user_id="ann", feature="pro")
    assert (status, problem["code"]) == (400, "project_required")
    assert "nowhere, shop" in problem["detail"]


async def test_the_time_from_cause_to_answer_is_measured(
    running: Running, publisher: Publisher, history: History
) -> None:
    """A change that carries when its cause was received is counted in the propagation histogram."""
    history.change("one", grant())
    last = history.changes[-1]
    assert isinstance(last, UserChanged)
    await publisher.relay()
    await in_step(running, history)
    assert await running.metric("sidecar_propagation_seconds_count") == 1
