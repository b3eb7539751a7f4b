"""Streams of events, read by httpx-sse, which is not ours."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import httpx
import pytest
from aiohttp import ClientSession
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse

from common.catalogue import Kind
from common.clock import SECOND, Instant, SystemClock, format_time
from sidecar import stream as streams
from sidecar.app import running as running_sidecar
from sidecar.settings import Settings
from tests.support.history import FEATURES, PROJECT, START, History, feature, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar, in_step, publishing, until
from tests.support.writer_double import WriterDouble

REFETCH = {"type": "refetchEvaluation"}


class Listener:
    """An open stream."""

    def __init__(self, source: EventSource) -> None:
        self.response = source.response
        self._events = source.aiter_sse()

    async def next(self) -> ServerSentEvent:
        """The next event of any name."""
        async with asyncio.timeout(20):
            return await anext(self._events)

    async def named(self, name: str) -> Any:
        """The data of the next event of this name; others are passed over."""
        while (event := await self.next()).event != name:
            pass
        return event.json()

    async def ends(self) -> None:
        """Wait until the sidecar has ended the stream, in good order."""
        async with asyncio.timeout(20):
            async for _ in self._events:
                pass


class Listen(Protocol):
    """Listen to a user, after the event `last` where one is named."""

    def __call__(self, running: Running, user: str, last: str | None = None) -> AbstractAsyncContextManager[Listener]:
        """Open a stream."""
        ...


@pytest.fixture
async def listening() -> AsyncIterator[Listen]:
    """Open streams, from one client for all."""
    async with httpx.AsyncClient(timeout=20, trust_env=False, limits=httpx.Limits(max_connections=None)) as client:

        @asynccontextmanager
        async def listening(running: Running, user: str, last: str | None = None) -> AsyncIterator[Listener]:
            headers = {} if last is None else {"Last-Event-ID": last}
            url = f"http://{running.sidecar.address}/api/v1/stream"
            async with aconnect_sse(client, "GET", url, params={"user_id": user}, headers=headers) as source:
                yield Listener(source)

        yield listening


@pytest.fixture(autouse=True)
def _no_look_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life are far apart: what is heard was woken by what happened."""
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 3_600.0)


def reasons(state: Any, *features: str) -> list[str]:
    """Why each feature is answered as it is."""
    return [state["features"][name]["reason"] for name in features]


def soon(seconds: float) -> Instant:
    """A moment that a test can wait for."""
    return Instant(SystemClock().now() + int(seconds * SECOND))


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


async def test_a_silent_stream_gives_signs_of_life(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, which clients pass over, so that nothing between takes the connection for dead."""
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.05)
    url = f"http://{running.sidecar.address}/api/v1/stream"
    async with running.session.get(url, params={"user_id": "ann"}) as response:
        async with asyncio.timeout(20):
            while await response.content.readline() != b":\n":
                pass


async def test_a_stream_opens_before_the_first_load(
    redis_url: str, start_sidecar: StartSidecar, history: History, listening: Listen
) -> None:
    """A browser would not come back after an error; the state comes when there is one."""
    running = await start_sidecar(redis_url)
    async with listening(running, "ann") as ann:
        assert not running.project.replica.synced
        async with publishing(redis_url, history):
            assert reasons(await ann.named("entitlements"), "pro") == ["granted"]


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


async def test_a_reader_who_stopped_reading_is_dropped(
    running: Running, publisher: Publisher, history: History, monkeypatch: pytest.MonkeyPatch, listening: Listen
) -> None:
    """Its buffers fill and stay full; the others hear on, and nothing is kept of it."""
    monkeypatch.setattr(streams, "SLOW_SECONDS", 0.2)
    host, _, port = running.sidecar.address.rpartition(":")
    sleeper = socket.socket()
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sleeper.connect((host, int(port)))
    with sleeper:
        sleeper.sendall(b"GET /api/v1/stream?user_id=ann HTTP/1.1\r\nHost: sidecar\r\n\r\n")
        async with listening(running, "ann") as ann:
            await until(lambda: len(running.project.watchers._by_user) == 1)
            history.edit(*history.catalogue.features.values(), feature("theme", Kind.CONFIG))
            while not await running.metric("sidecar_streams_ended_total"):
                history.change("ann", grant("theme", f"{history.revision} " + "grey" * 20_000))
                await publisher.relay()
                while (await ann.named("entitlements"))["revision"] < history.revision:
                    pass
            assert await running.metric("sidecar_streams") == 1
    _, text = await running.manage("metrics")
    assert 'sidecar_streams_ended_total{why="slow"} 1.0' in text


async def test_who_leaves_is_forgotten_at_once(running: Running, listening: Listen) -> None:
    """Not only when the next event cannot be written."""
    async with listening(running, "ann") as ann:
        await ann.named("message")
    await until(lambda: not running.project.watchers._by_user)
    assert await running.metric("sidecar_streams") == 0
    assert await running.metric("sidecar_streams_ended_total") == 1


async def test_no_more_streams_than_allowed(
    redis_url: str, publisher: Publisher, start_sidecar: StartSidecar, listening: Listen
) -> None:
    """One more is refused until another leaves."""
    running = await start_sidecar(redis_url, SIDECAR_MAX_STREAMS="1")
    async with listening(running, "ann") as ann:
        await ann.named("message")
        status, problem = await running.get("stream", user_id="bob")
        assert (status, problem["code"]) == (503, "too_many_streams")
    await until(lambda: not running.project.watchers._by_user)
    async with listening(running, "bob") as bob:
        await bob.named("message")


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({}, 400, "user_required"),
        ({"user_id": "a\x00b"}, 400, "invalid_user"),
        ({"user_id": "ann", "project_id": "other"}, 404, "unknown_project"),
    ],
)
async def test_a_bad_request_is_a_problem(running: Running, parameters: dict[str, str], status: int, code: str) -> None:
    """As everywhere."""
    got, problem = await running.get("stream", **parameters)
    assert (got, problem["code"]) == (status, code)


async def test_many_listen_at_once(running: Running, publisher: Publisher, history: History, listening: Listen) -> None:
    """Three hundred streams of a hundred users: each hears of its user's change and of the catalogue's."""
    users = [f"user-{number % 100}" for number in range(300)]
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(listening(running, user)) for user in users]
        await until(lambda: sum(map(len, running.project.watchers._by_user.values())) == 300)
        for user in set(users):
            history.change(user, grant("seats", int(user[5:]) + 1))
        await publisher.relay()
        for user, one in zip(users, listeners, strict=True):
            while not (seats := (await one.named("entitlements"))["features"]["seats"])["allowed"]:
                pass
            assert seats["value"] == int(user[5:]) + 1
        history.edit(*history.catalogue.features.values(), feature("extra", default=True))
        await publisher.relay()
        for one in listeners:
            assert reasons(await one.named("entitlements"), "extra") == ["granted"]


async def test_a_restarted_sidecar_is_found_again(
    redis_url: str, publisher: Publisher, start_sidecar: StartSidecar, history: History, listening: Listen
) -> None:
    """Streams end in good order with their sidecar; the next one goes on from the last event."""
    environment = {
        "SIDECAR_PROJECT": PROJECT,
        "REDIS_URL": redis_url,
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0",
    }
    async with AsyncExitStack() as stack:
        async with running_sidecar(Settings.from_mapping(environment)) as sidecar:
            session = await stack.enter_async_context(ClientSession())
            ann = await stack.enter_async_context(listening(Running(sidecar, session), "ann"))
            last = (await ann.next()).id
        await ann.ends()
    history.change("ann", grant("seats", 8))
    await publisher.relay()
    second = await start_sidecar(redis_url)
    async with listening(second, "ann", last) as ann:
        state = await ann.named("entitlements")
        assert (state["cause"], state["features"]["seats"]["value"]) == ("resync", 8)
