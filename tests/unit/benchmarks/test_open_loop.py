"""The open loop counts what those waited who came while the server did nothing."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from benchmarks.open_loop import Task, measure, whole

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def served(stops_before: int, answer: bytes = ANSWER) -> Iterator[int]:
    """A server which does nothing for half a second before it answers one of its requests; its port."""
    loop, seen = asyncio.new_event_loop(), 0

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        try:
            while await reader.readline():
                await reader.readuntil(b"\r\n\r\n")
                seen += 1
                if seen == stops_before:
                    time.sleep(0.5)  # noqa: ASYNC251 - nobody is to be answered
                writer.write(answer)
        finally:
            writer.close()

    server = loop.run_until_complete(asyncio.start_server(answers, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_ended(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _ended() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def task(port: int, users: int = 0) -> Task:
    """A hundred a second, for 0.6 seconds, on one connection."""
    return Task(port, "GET /%07d HTTP/1.1\r\nHost: here\r\n\r\n", users, 1, 100, 0.6)


def test_those_who_come_while_the_server_stops_are_timed_from_when_they_were_due() -> None:
    """Half of all were due in the first 0.3 s of a stop of 0.5 s, so half waited for at least 0.2 s."""
    with served(stops_before=61) as port:  # the first after the 60 that are not timed
        figures = measure(task(port, users=10))
    assert figures["requests"] == 60
    assert figures["p50_ms"] > 150
    assert figures["p99_ms"] > 400


def test_an_answer_that_is_none_ends_the_run() -> None:
    """A fault answered quickly is no speed."""
    with (
        served(0, b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n") as port,
        pytest.raises(RuntimeError, match="500 Oh"),
    ):
        measure(task(port))


@pytest.mark.parametrize("end", range(1, len(ANSWER) + 1))
def test_a_part_of_an_answer_is_not_taken_for_all(end: int) -> None:
    """However it is cut."""
    assert whole(ANSWER[:end]) is (end == len(ANSWER))
