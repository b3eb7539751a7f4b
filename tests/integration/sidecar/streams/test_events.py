"""What a stream tells of its user, and when."""

import pytest

from common.clock import SECOND, SystemClock, format_time
from sidecar import stream as streams
from tests.support.history import FEATURES, START, History, feature, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar, in_step, until
from tests.support.streams import Listen, reasons, soon
from tests.support.writer_double import WriterDouble

REFETCH = {"type": "refetchEvaluation"}


async def test_the_state_comes_first_and_then_what_changes(
    running: Running, publisher: Publisher, history: History, listening: Listen
) -> None:
    """Three events' worth of a user's life; each has the position as its id, and a word for OpenFeature."""
    async with listening(running, "ann") as ann:
        assert ann.response.headers["Content-Type"] == "text/event-stream"
        first = await ann.next()
        assert (first.event, first.id, 1_000 <= (first.retry or 0) <= 3_000) == ("entitlements", "1.4", True)
        state = first.json()
        assert (state["user_id"], state["project_id"], state["cause"]) == ("ann", "shop", "connected")
        assert reasons(state, "pro", "free", "seats") == ["granted", "granted", "not_granted"]
        word = await ann.next()
        assert (word.event, word.id, word.json()) == ("message", "1.4", REFETCH)
        history.change("ann", grant("seats", 7))
        await publisher.relay()
        changed = await ann.next()
        assert (changed.event, changed.id, changed.json()["cause"]) == ("entitlements", "1.5", "changed")
        assert changed.json()["features"]["seats"]["value"] == 7
        assert (await ann.next()).json() == REFETCH
        history.change("ann")
        await publisher.relay()
        assert reasons(await ann.named("entitlements"), "pro", "seats") == ["not_granted", "not_granted"]


async def test_each_state_is_what_a_check_answers(running: Running, listening: Listen) -> None:
    """The same rules, the same JSON."""
    async with listening(running, "ann") as ann:
        state = await ann.named("entitlements")
    for name in ("pro", "free", "seats"):
        answer = await running.check("ann", name)
        assert state["features"][name].items() <= answer.items()


async def test_others_changes_are_not_heard(
    running: Running, publisher: Publisher, history: History, listening: Listen
) -> None:
    """Bob's change is no news for Ann; the next event is her own."""
    async with listening(running, "ann") as ann:
        await ann.named("message")
        history.change("bob", grant())
        await publisher.relay()
        await in_step(running, history)
        history.change("ann", grant("seats", 3))
        await publisher.relay()
        assert (await ann.next()).id == history.position.token


async def test_a_catalogue_is_heard_by_those_whose_answers_it_changes(
    running: Running, publisher: Publisher, history: History, listening: Listen
) -> None:
    """`pro` becomes everybody's: news for Bob, none for Ann, who has it already."""
    async with listening(running, "ann") as ann, listening(running, "bob") as bob:
        await ann.named("message")
        await bob.named("message")
        history.edit(feature("pro", default=True), *FEATURES[1:])
        await publisher.relay()
        state = await bob.named("entitlements")
        assert (state["cause"], state["features"]["pro"]["source"]) == ("changed", "default")
        history.change("ann")
        await publisher.relay()
        assert (await ann.next()).id == history.position.token


async def test_who_comes_back_is_told_only_what_it_missed(
    running: Running, publisher: Publisher, history: History, listening: Listen
) -> None:
    """Nothing for who missed nothing; the state, called `resync`, for who did, or whose place is unknown."""
    history.change("ann", grant(valid_from=START - 60 * SECOND))
    await publisher.relay()
    await in_step(running, history)
    async with listening(running, "ann") as ann:
        left_at = (await ann.next()).id
    history.change("bob", grant())
    await publisher.relay()
    await in_step(running, history)
    async with listening(running, "ann", left_at) as ann:
        history.change("ann", grant("seats", 9))
        await publisher.relay()
        event = await ann.next()
        assert (event.id, event.json()["cause"]) == (history.position.token, "changed")
    for last in (left_at, "0.1", "not-ours"):
        async with listening(running, "ann", last) as ann:
            event = await ann.next()
            assert (event.event, event.json()["cause"]) == ("entitlements", "resync")
            assert event.json()["features"]["seats"]["value"] == 9


async def test_who_knows_more_is_not_led_back(
    running: Running, publisher: Publisher, history: History, writer: WriterDouble, listening: Listen
) -> None:
    """Who heard of a payment from another sidecar hears here what holds since, from the writer, asked once."""
    history.change("ann", grant("seats", 2))  # committed, and not relayed
    async with listening(running, "ann", history.position.token) as ann:
        state = await ann.named("entitlements")
        assert (state["cause"], state["features"]["seats"]["value"]) == ("resync", 2)


async def test_an_end_is_announced_and_told(
    running: Running, publisher: Publisher, history: History, listening: Listen
) -> None:
    """A grant that ends within a day is `expiring` at once, and `expired` when it ends, without any change."""
    end = soon(1.5)
    history.change("ann", grant(valid_to=end))
    await publisher.relay()
    await in_step(running, history)
    async with listening(running, "ann") as ann:
        expiring = await ann.named("expiring")
        assert (expiring["feature"], expiring["valid_to"]) == ("pro", format_time(end))
        state = await ann.named("entitlements")
        assert (state["cause"], reasons(state, "pro")) == ("time", ["expired"])
        assert await ann.named("expired") == expiring
        assert (await ann.next()).json() == REFETCH
        assert SystemClock().now() >= end


async def test_an_end_is_announced_as_far_ahead_as_asked(
    redis_url: str, publisher: Publisher, start_sidecar: StartSidecar, history: History, listening: Listen
) -> None:
    """`SIDECAR_EXPIRING_AHEAD`: nothing on connecting, the heads-up when its moment comes."""
    running = await start_sidecar(redis_url, SIDECAR_EXPIRING_AHEAD="59m")
    history.change("ann", grant(valid_to=soon(59 * 60 + 1.5)))
    await publisher.relay()
    await until(lambda: running.revision == history.revision)
    async with listening(running, "ann") as ann:
        assert [(await ann.next()).event, (await ann.next()).event] == ["entitlements", "message"]
        assert (await ann.next()).event == "expiring"


async def test_a_new_lineage_is_told(
    redis_url: str, writer: WriterDouble, start_sidecar: StartSidecar, history: History, listening: Listen
) -> None:
    """After a restore everything is loaded afresh, and everybody is told what holds there."""
    running = await start_sidecar(writer_url=writer.url)
    await until(lambda: running.project.replica.synced)
    async with listening(running, "ann") as ann:
        await ann.named("message")
        history.raise_epoch()
        history.change("ann", grant("seats", 4))
        state = await ann.named("entitlements")
        assert (state["cause"], state["epoch"], state["features"]["seats"]["value"]) == ("resync", 2, 4)


async def test_a_copy_that_becomes_too_old_is_told(
    redis_url: str,
    publisher: Publisher,
    start_sidecar: StartSidecar,
    monkeypatch: pytest.MonkeyPatch,
    listening: Listen,
) -> None:
    """Where the stale policy changes answers, listeners hear it with the next look."""
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.05)
    more = {"SIDECAR_STALE_AFTER": "100ms", "SIDECAR_MAX_STALE": "1s", "SIDECAR_ON_STALE": "deny"}
    running = await start_sidecar(redis_url, **more)
    await until(lambda: running.project.replica.synced)
    await publisher.heartbeat()
    async with listening(running, "ann") as ann:
        assert reasons(await ann.named("entitlements"), "pro") == ["granted"]
        state = await ann.named("entitlements")
        assert (state["cause"], reasons(state, "pro"), state["stale"]) == ("time", ["stale_denied"], True)
