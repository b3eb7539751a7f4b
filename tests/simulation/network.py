"""A network between processes: connections that keep order, take their time, break, fall silent, or stall.

What was sent arrives in order and once, or not at all: as with TCP, only a connection's end loses something. A stalled
link holds back what is on its way and delivers it when it heals, also what its sender has given up meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from random import Random
from typing import Any, Final, Protocol

from tests.simulation.loop import VirtualLoop
from tests.simulation.processes import PROCESS, Process, State

_QUICKEST: Final = 0.0003
_SLOW: Final = 0.08
"""Seconds that the slowest of messages takes on a good day; most take a hundredth of it."""


class Condition(Enum):
    """How a link is."""

    GOOD = auto()
    CUT = auto()
    """Connections break and none can be made."""
    STALLED = auto()
    """Nothing arrives until it is good again."""


class Server(Protocol):
    """Who takes connections."""

    process: Process

    def opened(self, connection: "Connection") -> None:
        """A client is there."""
        ...

    def received(self, connection: "Connection", message: Any) -> None:
        """A client sent something."""
        ...

    def closed(self, connection: "Connection") -> None:
        """The client is gone, as far as can be told."""
        ...


class Link:
    """The way between one process and one server."""

    def __init__(self) -> None:
        self.condition = Condition.GOOD
        self.connections: list[Connection] = []
        self.healed: list[asyncio.Future[None]] = []
        """Who waits for a connection while it is stalled."""


class Network:
    """All links."""

    def __init__(self, loop: VirtualLoop, rng: Random) -> None:
        self.loop = loop
        self.over = False
        """In the end nothing can be sent any more."""
        self.perfect = False
        """No latency to speak of: for tests of what stands behind the network."""
        self._rng = rng
        self._links: dict[tuple[str, str], Link] = {}

    def latency(self) -> float:
        """Seconds that a message takes."""
        return _QUICKEST if self.perfect else _QUICKEST + _SLOW * self._rng.random() ** 8

    def link(self, client: Process, server: Process) -> Link:
        """The way from one to the other."""
        return self._links.setdefault((client.name, server.name), Link())

    async def connect(self, server: Server) -> "Connection":
        """A connection of the running process; ConnectionRefusedError where nobody listens."""
        client = PROCESS.get()
        link = self.link(client, server.process)
        if self.over:
            raise ConnectionRefusedError("it is over")
        await asyncio.sleep(2 * self.latency())
        while link.condition is Condition.STALLED:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            link.healed.append(waiter)
            await waiter
        if not self._reaches(link, server):
            raise ConnectionRefusedError(f"{server.process} cannot be reached")
        connection = Connection(self, link, client, server)
        link.connections = [*(c for c in link.connections if not c.ended), connection]
        connection.up.send(server.opened, connection)
        return connection

    def _reaches(self, link: Link, server: Server) -> bool:
        return not self.over and link.condition is not Condition.CUT and server.process.state is not State.DEAD

    def cut(self, client: Process, server: Process) -> None:
        """Break what there is, and let nothing be made."""
        link = self.link(client, server)
        link.condition = Condition.CUT
        for connection in link.connections:
            connection.reset()

    def stall(self, client: Process, server: Process) -> None:
        """Hold everything back."""
        self.link(client, server).condition = Condition.STALLED

    def heal(self, client: Process, server: Process) -> None:
        """Be good again; what was held back arrives, unless its connection ended."""
        link = self.link(client, server)
        link.condition = Condition.GOOD
        for connection in link.connections:
            connection.up.flow()
            connection.down.flow()
        waiting, link.healed = link.healed, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def heal_all(self) -> None:
        """Every link is good; connections that fell silent are found out."""
        for link in self._links.values():
            link.condition = Condition.GOOD
            for connection in link.connections:
                if connection.silent:
                    connection.reset()
                connection.up.flow()
                connection.down.flow()
            waiting, link.healed = link.healed, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    def connections_of(self, process: Process) -> list["Connection"]:
        """All that a process has, as client or server."""
        return [c for link in self._links.values() for c in link.connections if process in {c.client, c.server.process}]

    def killed(self, process: Process) -> None:
        """The system closes a dead process's connections: what it sent still arrives, then their end."""
        for connection in self.connections_of(process):
            if connection.client is process:
                connection.close()
            else:
                connection.reset()


class Pipe:
    """One direction: a queue whose head is delivered each time that a message is due."""

    def __init__(self, network: Network, link: Link, connection: "Connection", to: Process) -> None:
        self._network = network
        self._link = link
        self._connection = connection
        self._to = to
        self._queue: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._last = 0.0
        self._owed = 0

    def send(self, deliver: Callable[..., object], *arguments: Any) -> None:
        """Call `deliver` at the other end."""
        if self._connection.silent:
            return
        self._queue.append((deliver, arguments))
        self._schedule()

    def flow(self) -> None:
        """Deliver what was held back."""
        owed, self._owed = self._owed, 0
        for _ in range(owed):
            self._schedule()

    def _schedule(self) -> None:
        loop = self._network.loop
        self._last = max(self._last, loop.now + self._network.latency())
        loop.post(loop.world, self._last, self._deliver)

    def _deliver(self) -> None:
        if not self._queue:
            return
        if self._link.condition is Condition.STALLED:
            self._owed += 1
            return
        deliver, arguments = self._queue.popleft()
        if not self._connection.silent and not self._connection.broken:
            self._network.loop.hand(self._to, deliver, *arguments)


class Connection:
    """The client's end is `send`, `receive`, `close`; the server's is `push`."""

    def __init__(self, network: Network, link: Link, client: Process, server: Server) -> None:
        self.client = client
        self.server = server
        self.broken = False
        """Nothing passes any more, and both ends are told."""
        self.silent = False
        """Nothing passes any more, and nobody is told."""
        self.up = Pipe(network, link, self, server.process)
        self.down = Pipe(network, link, self, client)
        self._network = network
        self._closed = False
        self._lost = False
        self._inbox: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether nobody will use it again."""
        return self.broken or self._closed

    def send(self, message: Any) -> None:
        """Put a message on its way; ConnectionResetError once the end is known."""
        if self._lost or self._closed or self._network.over:
            raise ConnectionResetError("the connection is lost")
        self.up.send(self.server.received, self, message)

    async def receive(self) -> Any:
        """The next message; ConnectionResetError once there is none and the connection is lost."""
        while not self._inbox:
            if self._lost or self._closed or self._network.over:
                raise ConnectionResetError("the connection is lost")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._inbox.popleft()

    def close(self) -> None:
        """The client has done with it."""
        if not self.ended:
            self._closed = True
            self.up.send(self.server.closed, self)

    def push(self, message: Any) -> None:
        """The server sends something."""
        if not self.broken:
            self.down.send(self._arrived, message)

    def end(self) -> None:
        """The server closes it, behind what it sent."""
        self.down.send(self._dropped)

    def reset(self) -> None:
        """Break it: what is on its way is lost."""
        if self.broken:
            return
        self.broken = True
        loop, latency = self._network.loop, self._network.latency
        loop.post(self.client, loop.now + latency(), self._dropped)
        loop.post(self.server.process, loop.now + latency(), self.server.closed, self)

    def _arrived(self, message: Any) -> None:
        self._inbox.append(message)
        self._wake()

    def _dropped(self) -> None:
        self._lost = True
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
