"""What the fast lane leans on inside aiohttp. Should one of these fail, read aiohttp's `web_protocol` again."""

import asyncio
import re
import tomllib
from importlib.metadata import version
from inspect import getsource
from pathlib import Path
from typing import Any

import pytest
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler

from tests.contract.lanes.stage import Lane, SidecarState, quiet

LEANT_ON = (
    "_close", "_force_close", "_keepalive_timeout", "_max_msg_queue_size", "_messages", "_next_keepalive_close_time",
    "_paused", "_upgraded", "_waiter", "transport",
)  # fmt: skip
HEAD = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
async def connection() -> Any:
    """A connection on which nothing has come in."""
    lane = Lane(SidecarState(), fast=True)
    await lane.open()
    client = lane.connect()
    await quiet(client)
    yield client._connection
    client.end()
    await lane.close()


def test_aiohttp_is_bounded_to_the_minor_version_that_was_read() -> None:
    """A newer minor version of aiohttp is taken on purpose only."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    (bound,) = (one for one in project["dependencies"] if re.match(r"aiohttp\b", one))
    major, minor, *_ = version("aiohttp").split(".")
    assert f"<{major}.{int(minor) + 1}" in bound


def test_the_members_are_there() -> None:
    """Every member that is read or set by its name is one of aiohttp's own."""
    slots = {name for one in RequestHandler.__mro__ for name in getattr(one, "__slots__", ())}
    assert slots >= set(LEANT_ON)


async def test_a_connection_that_waits_has_a_waiter_and_no_messages(connection: Any) -> None:
    """`_waiter` is there exactly while nothing is in hand; `_messages` holds what is parsed and not begun."""
    assert connection._waiter is not None
    assert not connection._messages
    connection.data_received(HEAD + b"\r\n")
    ((message, payload),) = connection._messages
    assert isinstance(message, RawRequestMessage)
    assert payload is EMPTY_PAYLOAD
    for _ in range(3):
        await asyncio.sleep(0)
    assert not connection._messages


async def test_closing_is_said_before_it_happens(connection: Any) -> None:
    """`_close` and `_force_close` are set at once, so that nothing is answered behind them."""
    assert not connection._close
    assert not connection._force_close
    connection.close()
    assert connection._close
    connection.force_close()
    assert connection._force_close


async def test_the_keepalive_timer_asks_for_the_latest_close_time(connection: Any) -> None:
    """Moving `_next_keepalive_close_time` is enough: the timer reads it when it fires, and waits on."""
    connection._next_keepalive_close_time = connection._loop.time() + 1000
    connection._process_keepalive()
    assert not connection._force_close
    connection._next_keepalive_close_time = 0.0
    connection._process_keepalive()
    assert connection._force_close


def test_writing_is_told_to_pause_by_the_flag() -> None:
    """`_paused` is what `pause_writing` sets."""
    assert "_paused = True" in getsource(RequestHandler.pause_writing)
