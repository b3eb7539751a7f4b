"""Old and new side by side: what a later writer says more is passed over, what it says otherwise is refused.

What is refused is counted, logged once a kind, and repaired from the next better source, while good state stays.
"""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis

from common import catalogue as catalogues
from common import document as documents
from common import keys, wire
from common.document import MAX_DOCUMENT_BYTES
from common.identifiers import UserId
from common.wire import MAX_MESSAGE_BYTES
from sidecar import origin
from tests.support.history import PROJECT, History, feature, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar, in_step, until
from tests.support.waiting import eventually
from tests.support.writer_double import WriterDouble

LATER = 2


def with_more(value: Any) -> Any:
    """The same JSON with a member that nobody knows in every object that has members of its own."""
    if isinstance(value, list):
        return [with_more(one) for one in value]
    if isinstance(value, dict) and value:
        free_form = {"features", "unlocked_by"} & value.keys()
        changed = {name: one if name in free_form else with_more(one) for name, one in value.items()}
        return {**changed, "later": {"x": [1]}}
    return value


def each_line(change: Callable[[Any], Any], body: bytes) -> bytes:
    """Lines of JSON, changed."""
    return b"".join(orjson.dumps(change(orjson.loads(line))) + b"\n" for line in body.splitlines())


def of_a_later_version(value: Any) -> Any:
    """The same JSON as a version writes it that nobody knows yet."""
    return {**value, "v": LATER} if "v" in value else value


async def proven(running: Running) -> None:
    """Wait until the copy's digest has matched."""
    await until(lambda: running.project.replica.copy is not None and running.project.replica.copy.complete)


async def refused(running: Running, kind: str) -> float:
    """How often something of a kind was refused."""
    _, text = await running.manage("metrics")
    name = f'sidecar_refused_messages_total{{kind="{kind}",project="{PROJECT}"}} '
    return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


def logged(caplog: pytest.LogCaptureFixture, kind: str) -> int:
    """How many lines of the log tell of a kind."""
    return sum(f"kind={kind} " in record.getMessage() for record in caplog.records)


async def test_members_of_a_later_writer_are_passed_over_on_every_way(
    redis_url: str, publisher: Publisher, history: History, writer: WriterDouble, start_sidecar: StartSidecar
) -> None:
    """Documents, catalogue, channel and log at Redis; snapshot, changes and single documents over HTTP."""
    writer.rewrite = lambda what, body: (
        each_line(with_more, body) if what == "snapshot" else orjson.dumps(with_more(orjson.loads(body)))
    )
    async with Redis.from_url(redis_url) as client:
        for user, document in history.documents.items():
            await client.set(keys.document(user, PROJECT), orjson.dumps(with_more(documents.to_json(document))))
        await client.set(keys.catalog(PROJECT), orjson.dumps(with_more(catalogues.to_json(history.catalogue))))
    by_redis, by_http = await start_sidecar(redis_url), await start_sidecar(writer_url=writer.url)
    await in_step(by_redis, history)
    await in_step(by_http, history)
    for change in (history.change("one", grant()), history.edit(*history.catalogue.features.values(), feature("new"))):
        more = orjson.dumps(with_more(wire.to_json(change)))
        await publisher.log(change, more)
        await publisher.publish(more)
    await publisher.publish(orjson.dumps(with_more(wire.to_json(history.heartbeat()))))
    for running in (by_redis, by_http):
        await in_step(running, history)
        await proven(running)
        assert (await running.check("one"))["allowed"]
        assert (await running.check("ann"))["allowed"]
        assert (await running.check("ann", "new"))["reason"] == "not_granted"
        assert await running.metric("sidecar_refused_messages_total") == 0


async def test_a_later_version_on_the_channel_comes_by_the_log(
    running: Running, publisher: Publisher, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    """Three of them are counted, one is logged; the revisions are read from the log in a version that is known."""
    for number in range(3):
        change = history.change(f"user {number}", grant())
        await publisher.write(change)
        await publisher.log(change)
        await publisher.publish(orjson.dumps(of_a_later_version(wire.to_json(change))))
        assert (await running.check("ann"))["allowed"]
    await publisher.heartbeat()
    await in_step(running, history)
    assert await refused(running, "channel_future_version") == 3
    assert logged(caplog, "channel_future_version") == 1


async def test_a_later_version_in_the_log_comes_by_the_writer(
    running: Running, publisher: Publisher, history: History, writer: WriterDouble, caplog: pytest.LogCaptureFixture
) -> None:
    """What Redis has only in an unknown version is asked of the writer."""
    change = history.change("one", grant())
    await publisher.log(change, orjson.dumps(of_a_later_version(wire.to_json(change))))
    await publisher.heartbeat()
    await in_step(running, history)
    assert writer.asked["changes"] > 0
    assert writer.asked["snapshot"] == 0
    assert await refused(running, "log_future_version") >= 1
    assert logged(caplog, "log_future_version") == 1


async def test_later_changes_come_by_the_snapshot(
    history: History, writer: WriterDouble, start_sidecar: StartSidecar, caplog: pytest.LogCaptureFixture
) -> None:
    """A page of an unknown version is refused, and everything is loaded instead."""
    running = await start_sidecar(writer_url=writer.url)
    await in_step(running, history)
    writer.rewrite = lambda what, body: (
        orjson.dumps(of_a_later_version(orjson.loads(body))) if what == "changes" else body
    )
    history.change("one", grant())
    await in_step(running, history)
    assert (await running.check("one"))["allowed"]
    assert await refused(running, "changes_future_version") >= 1
    assert logged(caplog, "changes_future_version") == 1


@pytest.mark.parametrize(
    ("rewrite", "kind"),
    [
        (lambda body: each_line(of_a_later_version, body), "snapshot_future_version"),
        (lambda body: body.replace(b'"entitlements"', b'"rights"'), "snapshot_unreadable"),
        (lambda body: b"not a snapshot\n" + body, "snapshot_unreadable"),
    ],
    ids=["a later version", "other documents", "junk"],
)
async def test_a_snapshot_that_cannot_be_read_replaces_nothing(
    redis_url: str,
    running: Running,
    publisher: Publisher,
    history: History,
    writer: WriterDouble,
    caplog: pytest.LogCaptureFixture,
    rewrite: Callable[[bytes], bytes],
    kind: str,
) -> None:
    """The copy that differs is needed afresh: the good rows stay, until a source can be read again."""
    writer.rewrite = lambda what, body: rewrite(body) if what == "snapshot" else body
    async with Redis.from_url(redis_url) as client:
        await client.set(keys.catalog(PROJECT), b"not a catalogue")
    heartbeat = history.heartbeat()
    await publisher.heartbeat(
        wire.Heartbeat(heartbeat.epoch, heartbeat.revision, heartbeat.head, 99, 99, heartbeat.sent_at)
    )

    async def counted() -> bool:
        return await refused(running, kind) >= 2 and await refused(running, "cache_unreadable") >= 2

    await eventually(counted)
    assert (await running.check("ann"))["allowed"]
    assert logged(caplog, kind) == 1
    assert logged(caplog, "cache_unreadable") == 1
    writer.rewrite = lambda _what, body: body
    history.change("one", grant())
    await publisher.relay()
    await publisher.heartbeat()
    await in_step(running, history)
    await proven(running)


async def test_an_answer_of_the_writer_that_is_too_large_is_not_read_to_its_end(
    history: History, writer: WriterDouble, start_sidecar: StartSidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes far larger than any page are refused, and everything is loaded instead."""
    monkeypatch.setattr(origin, "_MOST_ANSWER", 10_000)
    running = await start_sidecar(writer_url=writer.url)
    await in_step(running, history)
    writer.rewrite = lambda what, body: body + b" " * 20_000 if what == "changes" else body
    history.change("one", grant())
    await in_step(running, history)
    assert await refused(running, "changes_unreadable") >= 1
    assert (await running.check("one"))["allowed"]


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 8 * MAX_MESSAGE_BYTES], ids=["a little", "far"])
async def test_a_message_that_is_too_large_is_refused(
    running: Running, publisher: Publisher, history: History, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    """However well it reads; the revision comes by another way."""
    change = history.change("one", grant())
    good = wire.to_json(change)
    large = orjson.dumps({**good, "later": "x" * size})
    await publisher.publish(large)
    await publisher.log(change, large)
    await publisher.heartbeat()
    await in_step(running, history)
    assert (await running.check("one"))["allowed"]
    assert await refused(running, "channel_unreadable") == 1
    assert await refused(running, "log_unreadable") >= 1
    assert "bytes" in caplog.text


async def test_a_document_that_is_too_large_is_refused(
    redis_url: str, publisher: Publisher, history: History, writer: WriterDouble, start_sidecar: StartSidecar
) -> None:
    """One that Redis holds costs only itself, and is had from the writer."""
    document = documents.to_json(history.documents[UserId("bob")])
    async with Redis.from_url(redis_url) as client:
        large = orjson.dumps({**document, "later": "x" * MAX_DOCUMENT_BYTES})
        await client.set(keys.document(UserId("bob"), PROJECT), large)
    running = await start_sidecar(redis_url, writer.url)
    await until(lambda: running.project.replica.synced)
    assert await refused(running, "documents_unreadable") >= 1
    assert (await running.check("bob", "seats"))["value"] == 5
    assert (await running.check("ann"))["allowed"]
