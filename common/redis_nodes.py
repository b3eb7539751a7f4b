"""Commands to whatever a Redis URL names, one server or a cluster: sent together, split by node, answered in order.

Each command touches one key. What is sent in one call to a cluster is one pipeline for each node, all at once: what has
to follow something on another node is sent in a later call.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, ReadOnlyError, RedisError

from common.background import SAY_AGAIN
from common.redis_url import NodeAddress, RedisUrl, Topology

Command = tuple[Any, ...]
OpenClient = Callable[[NodeAddress | None], Redis]
"""A client of a cluster's node; of the URL's server with None."""

_SLOTS: Final = 16_384
_KEY_AT: Final[Mapping[str, int | None]] = {"EVALSHA": 3, "SCRIPT": None}


class Nodes(Protocol):
    """Where commands are sent. Every method raises RedisError and OSError."""

    spread: bool
    """Whether keys lie on several servers, so that order between them has to be waited for."""
    moves: bool
    """Whether another server may be the right one after a failover."""

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in order; refusals stand among them as exceptions."""
        ...

    async def send_everywhere(self, commands: Sequence[Command]) -> None:
        """Commands that concern each server, such as loading a script."""
        ...

    async def addresses(self) -> Sequence[NodeAddress | None]:
        """The primaries; None for the URL's own server."""
        ...

    def client(self, address: NodeAddress | None) -> Redis:
        """The client of one of them."""
        ...

    def doubt(self) -> None:
        """A connection to one of them was lost: what is known of them may be no longer so."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


def nodes_of(url: RedisUrl, open_client: OpenClient) -> Nodes:
    """What the URL names; no connection is opened before it is used."""
    if url.topology is Topology.CLUSTER:
        return Cluster(url.nodes, open_client)
    return OneServer(open_client(None), moves=url.topology is Topology.SENTINEL)


class _Pipelines:
    """Sends pipelines; one that has begun is not interrupted by whoever waits for it."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[list[Any]]] = set()

    async def send(self, client: Redis, commands: Sequence[Command]) -> list[Any]:
        """Replies in order."""
        if not commands:
            return []
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        # Cancelled between sending and reading, a connection would give its replies to the next command.
        task = asyncio.create_task(_executed(pipeline))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def end(self) -> None:
        """Nothing is sent any more: no connection is left in the hands of what is under way."""
        pending = set(self._under_way)
        while pending:  # before Python 3.12 the Redis client may swallow a cancellation
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=SAY_AGAIN)

    def _ended(self, task: "asyncio.Task[list[Any]]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()


async def _executed(pipeline: Pipeline) -> list[Any]:
    return await pipeline.execute(raise_on_error=False)


class OneServer:
    """One server, or the primary that sentinels name."""

    spread = False

    def __init__(self, client: Redis, *, moves: bool) -> None:
        self._client = client
        self._pipelines = _Pipelines()
        self.moves = moves

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in order; refusals stand among them as exceptions."""
        replies = await self._pipelines.send(self._client, commands)
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            # It was the primary once: whoever connects anew finds the one of today.
            await self._client.connection_pool.disconnect(inuse_connections=False)
        return replies

    async def send_everywhere(self, commands: Sequence[Command]) -> None:
        """As `send`."""
        await self.send(commands)

    async def addresses(self) -> Sequence[NodeAddress | None]:
        """It alone."""
        return [None]

    def client(self, address: NodeAddress | None) -> Redis:  # noqa: ARG002 - there is one
        """Its client."""
        return self._client

    def doubt(self) -> None:
        """It is found anew with each connection anyway."""

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pipelines.end()
        await self._client.aclose(close_connection_pool=True)


class Cluster:
    """A cluster's primaries. Its map of slots is learnt anew where a node fails, or says that a slot is elsewhere."""

    spread = moves = True

    def __init__(self, seeds: Sequence[NodeAddress], open_client: OpenClient) -> None:
        self._seeds = seeds
        self._open_client = open_client
        self._pipelines = _Pipelines()
        self._clients: dict[NodeAddress, Redis] = {}
        self._slots: list[NodeAddress | None] = []
        self._primaries: tuple[NodeAddress, ...] = ()
        self._doubted = True
        self._learning = asyncio.Lock()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in order; refusals stand among them as exceptions. Each node has its part in order."""
        replies = await self._send_to_owners(commands)
        moved = [number for number, reply in enumerate(replies) if _is_moved(reply)]
        if moved:  # refused, not done: so it is sent again, still in order
            self._doubted = True
            again = await self._send_to_owners([commands[number] for number in moved])
            for number, reply in zip(moved, again, strict=True):
                replies[number] = reply
        for number, reply in enumerate(replies):
            if isinstance(reply, AskError) and not isinstance(reply, MovedError):
                replies[number] = await self._ask(reply, commands[number])
        return replies

    async def send_everywhere(self, commands: Sequence[Command]) -> None:
        """The commands to each primary."""
        await self._each(dict.fromkeys(await self.addresses(), commands))

    async def addresses(self) -> Sequence[NodeAddress]:
        """The primaries."""
        await self._learn()
        return self._primaries

    def client(self, address: NodeAddress | None) -> Redis:
        """The client of a primary."""
        if address is None:
            raise AssertionError("a cluster's node has an address")
        if address not in self._clients:
            self._clients[address] = self._open_client(address)
        return self._clients[address]

    def doubt(self) -> None:
        """Learn the map anew before it is used again."""
        self._doubted = True

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pipelines.end()
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.aclose(close_connection_pool=True)

    async def _send_to_owners(self, commands: Sequence[Command]) -> list[Any]:
        await self._learn()
        parts: dict[NodeAddress, list[int]] = {}
        for number, command in enumerate(commands):
            parts.setdefault(self._owner(command), []).append(number)
        found = await self._each({owner: [commands[n] for n in numbers] for owner, numbers in parts.items()})
        replies: list[Any] = [None] * len(commands)
        for owner, numbers in parts.items():
            for number, reply in zip(numbers, found[owner], strict=True):
                replies[number] = reply
        return replies

    async def _each(self, parts: Mapping[NodeAddress, Sequence[Command]]) -> dict[NodeAddress, list[Any]]:
        # All have ended before anybody is told: what is sent next cannot overtake what was sent here.
        ended = await asyncio.gather(
            *(self._pipelines.send(self.client(address), part) for address, part in parts.items()),
            return_exceptions=True,
        )
        for one in ended:
            if isinstance(one, BaseException):
                self._doubted = True
                raise one
        return dict(zip(parts, (one for one in ended if isinstance(one, list)), strict=True))

    async def _ask(self, answer: AskError, command: Command) -> Any:
        client = self.client(NodeAddress(answer.host, answer.port))
        return (await self._pipelines.send(client, [("ASKING",), command]))[1]

    def _owner(self, command: Command) -> NodeAddress:
        owner = self._slots[_slot(command)]
        if owner is None:
            self._doubted = True
            raise RedisError("a part of the cluster's slots is nobody's")
        return owner

    async def _learn(self) -> None:
        async with self._learning:
            if not self._doubted:
                return
            self._slots, self._primaries = await self._ask_around()
            self._doubted = False
        for address in set(self._clients) - set(self._primaries):
            await self._clients.pop(address).aclose(close_connection_pool=True)

    async def _ask_around(self) -> tuple[list[NodeAddress | None], tuple[NodeAddress, ...]]:
        """The map, from the first node that gives one; in any order, so that a fleet does not ask the same one."""
        places = list(dict.fromkeys([*self._primaries, *self._seeds]))
        random.shuffle(places)
        fault: Exception | None = None
        for place in places:
            try:
                found = (await self._pipelines.send(self.client(place), [("CLUSTER", "SLOTS")]))[0]
            except (RedisError, OSError) as error:
                fault = error
                continue
            if isinstance(found, Exception):
                fault = found
            elif found:
                return _map(found, place)
        raise fault or RedisError("the cluster's nodes know no slots")


def _map(found: Sequence[Any], asked: NodeAddress) -> tuple[list[NodeAddress | None], tuple[NodeAddress, ...]]:
    slots: list[NodeAddress | None] = [None] * _SLOTS
    primaries: dict[NodeAddress, None] = {}
    for first, last, (host, port, *_), *_ in found:
        name = (host or b"").decode()
        address = NodeAddress(asked.host if name in {"", "?"} else name, int(port))
        primaries[address] = None
        slots[first : last + 1] = [address] * (last + 1 - first)
    return slots, tuple(primaries)


def _slot(command: Command) -> int:
    at = _KEY_AT.get(command[0], 1)
    if at is None:
        raise AssertionError(f"{command[0]} concerns every node")
    key = command[at]
    return key_slot(key.encode() if isinstance(key, str) else key)


def _is_moved(reply: Any) -> bool:
    return isinstance(reply, MovedError | ReadOnlyError)
