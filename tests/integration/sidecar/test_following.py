"""Keeping in step: changes, gaps, outages."""

import asyncio

import pytest
from redis.asyncio import Redis

from common.clock import SystemClock
from sidecar.freshness import State
from sidecar.project import Mode
from sidecar.sources import Source
from tests.support.history import History, feature, grant
from tests.support.publisher import Publisher
from tests.support.redis import StartRedis
from tests.support.sidecars import Running, StartSidecar, in_step, publishing, until
from tests.support.writer_double import WriterDouble


async def test_a_published_change_changes_the_answer(running: Running, publisher: Publisher, history: History) -> None:
    """Grant, revocation and catalogue edits arrive."""
    assert not (await running.check("stranger"))["allowed"]
    history.change("stranger", grant())
    await publisher.relay()
    await in_step(running, history)
    assert (await running.check("stranger"))["allowed"]
    history.change("stranger")
    history.edit(feature("other"))
    await publisher.relay()
    await in_step(running, history)
    assert (await running.check("stranger"))["reason"] == "unknown_feature"


async def test_what_redis_tells_of_other_clients_keys_is_passed_over(
    running: Running, publisher: Publisher, history: History, redis_url: str
) -> None:
    """Numbers of connections begin anew with Redis: a report of changed keys may reach a sidecar's subscription."""
    async with Redis.from_url(redis_url) as other:
        (ours,) = [one["id"] for one in await other.client_list(_type="pubsub")]
        async with other.client() as tracking:
            await tracking.client_tracking_on(clientid=int(ours), prefix=["stray:"], bcast=True)
            await other.set("stray:key", "x")
            history.change("stranger", grant())
            await publisher.relay()
            await in_step(running, history)
    assert (await running.check("stranger"))["allowed"]
    assert await running.metric("sidecar_task_crashes_total") == 0


async def test_a_gap_is_filled_from_the_log(running: Running, publisher: Publisher, history: History) -> None:
    """Messages that pub/sub lost are read from the change log, without asking the writer."""
    history.change("one", grant())
    history.change("two", grant())
    await publisher.relay(publish=False)
    history.change("three", grant())
    await publisher.relay()
    await in_step(running, history)
    assert (await running.check("one"))["allowed"]
    assert await running.metric("sidecar_gaps_filled_total") >= 1


async def test_a_heartbeat_beyond_the_copy_shows_a_gap(
    running: Running, publisher: Publisher, history: History, writer: WriterDouble
) -> None:
    """When the last message was lost, the heartbeat tells."""
    history.change("one", grant())
    await publisher.relay(publish=False)
    await publisher.heartbeat()
    await in_step(running, history)
    assert writer.asked["snapshot"] == 0


async def test_a_trimmed_log_is_filled_by_the_writer(
    running: Running, publisher: Publisher, history: History, writer: WriterDouble
) -> None:
    """What the log no longer holds comes from the writer's changes."""
    for number in range(5):
        history.change(f"user {number}", grant())
    await publisher.relay(publish=False)
    await publisher.trim(2)
    await publisher.heartbeat()
    await in_step(running, history)
    assert writer.asked["changes"] >= 1
    assert writer.asked["snapshot"] == 0


@pytest.mark.parametrize("empty", [False, True])
async def test_what_nobody_keeps_any_more_is_loaded_afresh(
    running: Running, publisher: Publisher, history: History, writer: WriterDouble, empty: bool
) -> None:
    """A trimmed log, or an empty one while the head is beyond, and a writer without the changes: a new copy."""
    for number in range(5):
        history.change(f"user {number}", grant())
    writer.kept = 1
    await publisher.relay(publish=False)
    if empty:
        await publisher.forget([publisher.log_key])
    else:
        await publisher.trim(1)
    await publisher.heartbeat()
    await in_step(running, history)
    assert await running.metric("sidecar_loads_total") == 2


async def test_a_restart_of_a_trimmed_redis_reads_no_wrong_log(
    redis_url: str, publisher: Publisher, history: History, writer: WriterDouble, start_sidecar: StartSidecar
) -> None:
    """A log whose first entry is not the next revision is never applied."""
    await publisher.forget([publisher.log_key])
    skipped, kept = history.change("one", grant()), history.change("two", grant())
    await publisher.write(skipped)
    await publisher.write(kept)
    await publisher.log(kept)
    running = await start_sidecar(redis_url, writer.url)
    await in_step(running, history)
    assert running.project.source is Source.WRITER


async def test_a_lost_subscription_comes_back_through_the_log(
    running: Running, publisher: Publisher, history: History, redis_url: str
) -> None:
    """A sidecar thrown out by Redis subscribes again and reads what it missed."""
    async with Redis.from_url(redis_url) as client:
        history.change("one", grant())
        await client.client_kill_filter(_type="pubsub")
        await publisher.relay(publish=False)
    await in_step(running, history)


async def test_without_redis_answers_go_on_and_the_writer_is_followed(
    redis_server: StartRedis, history: History, writer: WriterDouble, start_sidecar: StartSidecar
) -> None:
    """Redis dies: same answers, then the writer's changes; Redis returns: its channel is followed again."""
    server = await redis_server()
    async with publishing(server.url, history) as publisher:
        running = await start_sidecar(server.url, writer.url)
        await until(lambda: running.project.replica.synced)
        await publisher.heartbeat()
        await until(lambda: running.project.mode(SystemClock().monotonic()) is Mode.REDIS)
    await server.kill()
    assert (await running.check("ann"))["allowed"]
    assert (await running.manage("ready"))[0] == 200
    history.change("one", grant())
    await until(lambda: running.project.mode(SystemClock().monotonic()) is Mode.WRITER)
    await in_step(running, history)
    assert not (await running.check("one"))["stale"]
    await server.start()
    async with publishing(server.url, history) as publisher:
        async with asyncio.timeout(20):
            while running.project.mode(SystemClock().monotonic()) is not Mode.REDIS:
                await publisher.heartbeat()
                await asyncio.sleep(0.05)
        history.change("two", grant())
        await publisher.relay()
        await in_step(running, history)


async def test_with_everything_down_the_answer_says_how_old_it_is(
    redis_server: StartRedis, history: History, start_sidecar: StartSidecar
) -> None:
    """Redis and writer dead: the same answer, its age growing, stale at last, and the policy once too old."""
    server = await redis_server()
    async with publishing(server.url, history) as publisher:
        running = await start_sidecar(
            server.url, "http://127.0.0.1:9", SIDECAR_STALE_AFTER="2s", SIDECAR_MAX_STALE="3s", SIDECAR_ON_STALE="deny"
        )
        await until(lambda: running.project.replica.synced)
        await publisher.heartbeat()
        await until(lambda: running.project.freshness.state(SystemClock().monotonic()) is State.FRESH)
    first = await running.check("ann")
    await server.kill()
    assert (first["allowed"], first["stale"]) == (True, False)
    async with asyncio.timeout(20):
        while not (answer := await running.check("ann"))["stale"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert (answer["allowed"], answer["reason"]) == (True, "granted")
        assert answer["age_ms"] > first["age_ms"]
        while (answer := await running.check("ann"))["allowed"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (answer["reason"], answer["stale"]) == ("stale_denied", True)
    assert (await running.manage("ready"))[0] == 200
