"""A link: a small TCP proxy between two processes, which can be cut, refused, stalled and half closed."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final

from sandbox.ports import free_port

HOST: Final = "127.0.0.1"
_CHUNK: Final = 65_536
_RESET: Final = struct.pack("ii", 1, 0)  # no lingering: what closes is reset

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Passage:
    """One connection through a link: bytes go both ways while the link's gates are open."""

    def __init__(self, client: Streams, server: Streams, up: asyncio.Event, down: asyncio.Event) -> None:
        self._client = client
        self._server = server
        self._pumps = [
            asyncio.create_task(_pump(client[0], server[1], up)),
            asyncio.create_task(_pump(server[0], client[1], down)),
        ]

    async def carry(self) -> None:
        """Carry until both sides have ended, or one is lost."""
        try:
            await asyncio.wait(self._pumps, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self.cut()
            await asyncio.gather(*self._pumps, return_exceptions=True)

    def cut(self) -> None:
        """Reset both sides; what was under way is gone."""
        for _, writer in (self._client, self._server):
            reset(writer)
        for pump in self._pumps:
            pump.cancel()

    def half_close(self) -> None:
        """Tell the server that the client will say nothing more, and the client nothing."""
        with contextlib.suppress(OSError, RuntimeError):
            self._server[1].write_eof()


class Link:
    """What one process reaches another by. `connect` opens the far end; connections made while it stalls wait too."""

    def __init__(self, name: str, connect: Callable[[], Awaitable[Streams]], port: int | None = None) -> None:
        self.name = name
        self.port = port or free_port()
        self._connect = connect
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self._passages: set[Passage] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.open()

    @property
    def connections(self) -> int:
        """How many go through it now."""
        return len(self._passages)

    async def start(self) -> None:
        """Listen, on the same port each time."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port, backlog=512)

    async def refuse(self) -> None:
        """Cut everything, and refuse whoever comes until `start`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def close(self) -> None:
        """For good."""
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset what is connected."""
        for passage in list(self._passages):
            passage.cut()

    def half_close(self) -> None:
        """Half close what is connected."""
        for passage in list(self._passages):
            passage.half_close()

    def stall(self, *, up: bool, down: bool) -> None:
        """Hold back what is said to the server (`up`), or by it (`down`); connections stay."""
        for gate, held in ((self._up, up), (self._down, down)):
            if held:
                gate.clear()

    def open(self) -> None:
        """Let everything pass; what was held back comes late."""
        self._up.set()
        self._down.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry((reader, writer))
        finally:
            self._tasks.discard(task)

    async def _carry(self, client: Streams) -> None:
        try:
            server = await self._connect()
        except OSError:
            reset(client[1])
            return
        passage = Passage(client, server, self._up, self._down)
        self._passages.add(passage)
        try:
            await passage.carry()
        finally:
            self._passages.discard(passage)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a cut cable's router does."""
    if writer.is_closing():
        return
    with contextlib.suppress(OSError, ValueError):  # it may just have closed
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    while data := await reader.read(_CHUNK):
        await gate.wait()
        writer.write(data)
        await writer.drain()
    await gate.wait()
    if writer.can_write_eof():
        writer.write_eof()


def to(port: int) -> Callable[[], Awaitable[Streams]]:
    """Connect to a port of this machine."""
    return lambda: asyncio.open_connection(HOST, port)
