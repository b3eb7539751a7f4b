"""A load balancer: connections go in turn to the writers that say that they are ready."""

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp

from tests.chaos.link import HOST, Link, Streams

_ASKED_EVERY_S: Final = 0.3
_PATIENCE: Final = aiohttp.ClientTimeout(total=1.0)


class Balancer:
    """In front of writers by their ports. Connections of one that is not ready any more are cut."""

    def __init__(self, name: str, ports: Sequence[int], port: int | None = None) -> None:
        self.link = Link(name, self._connect, port)
        self.url = f"http://{HOST}:{self.link.port}"
        self._ports = list(ports)
        self._ready: set[int] = set()
        self._turn = 0
        self._made: dict[int, set[asyncio.StreamWriter]] = {port: set() for port in ports}
        self._asking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, and go on asking who is ready."""
        await self.link.start()
        self._asking = asyncio.create_task(self._ask())

    async def close(self) -> None:
        """For good."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self.link.close()

    async def _connect(self) -> Streams:
        """To the next one that is ready; OSError where none takes the connection."""
        for _ in self._ports:
            self._turn = (self._turn + 1) % len(self._ports)
            port = self._ports[self._turn]
            if port not in self._ready:
                continue
            try:
                streams = await asyncio.open_connection(HOST, port)
            except OSError:
                self._ready.discard(port)
                continue
            made = self._made[port] = {writer for writer in self._made[port] if not writer.is_closing()}
            made.add(streams[1])
            return streams
        raise ConnectionRefusedError("no writer is ready")

    async def _ask(self) -> None:
        async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
            while True:
                await asyncio.gather(*(self._ask_one(session, port) for port in self._ports))
                await asyncio.sleep(_ASKED_EVERY_S)

    async def _ask_one(self, session: aiohttp.ClientSession, port: int) -> None:
        try:
            async with session.get(f"http://{HOST}:{port}/ready") as answer:
                ready = answer.ok
        except (aiohttp.ClientError, TimeoutError, OSError):
            ready = False
        if ready:
            self._ready.add(port)
        else:
            self._ready.discard(port)
            for writer in self._made[port]:
                writer.transport.abort()
            self._made[port].clear()
