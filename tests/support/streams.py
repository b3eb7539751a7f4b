"""Streams of events, read by httpx-sse, which is not ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import httpx
import pytest_asyncio
from httpx_sse import EventSource, ServerSentEvent, aconnect_sse

from common.clock import SECOND, Instant, SystemClock
from tests.support.sidecars import Running


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


@pytest_asyncio.fixture
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


def reasons(state: Any, *features: str) -> list[str]:
    """Why each feature is answered as it is."""
    return [state["features"][name]["reason"] for name in features]


def soon(seconds: float) -> Instant:
    """A moment that a test can wait for."""
    return Instant(SystemClock().now() + int(seconds * SECOND))
