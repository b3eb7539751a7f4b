"""Streams as connections: opened, bounded, kept alive, dropped, and found again."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession

from common.catalogue import Kind
from sidecar import stream as streams
from sidecar.app import running as running_sidecar
from sidecar.settings import Settings
from tests.support.history import PROJECT, History, feature, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar, publishing, until
from tests.support.streams import Listen, reasons


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
