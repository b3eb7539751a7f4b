"""Redis, as the sidecar reads it: meta, documents, catalogue, change log and channel; and its presence there."""

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from common import catalogue as catalogues
from common import keys, wire
from common.catalogue import Catalogue, CatalogueError
from common.document import DocumentError
from common.identifiers import ProjectId, UserId
from common.position import Position
from common.redis_faults import explained
from common.redis_nodes import Command, Nodes, nodes_of
from common.redis_pool import open_pool
from common.redis_url import parse
from common.wire import Change, Heartbeat, WireError
from sidecar.bulk import WORTH_IT, BulkReader
from sidecar.filling import Batch, fill
from sidecar.refusals import Refusals
from sidecar.replica import Copy
from sidecar.sources import CacheMeta, UnavailableError, UnreadableError, read_message

_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 5.0  # a subscription without heartbeats for so long is asked whether it lives
_MOST_SILENT: Final = 3  # such silences in a row: a server that was cut off from the others lives, and is told nothing
_SCAN: Final = 256  # users a step: one pipeline of GETs, a few milliseconds to decode
_PRESENCE_SECONDS: Final = 10


def connect(url: str) -> Nodes:
    """What the URL names; it opens connections when it needs them, and fails at once rather than trying by itself."""
    parsed = parse(url)
    timeouts: dict[str, Any] = {"socket_connect_timeout": _CONNECT_SECONDS, "socket_timeout": _ANSWER_SECONDS}
    return nodes_of(parsed, lambda address: Redis(connection_pool=open_pool(parsed, address, **timeouts)))


class RedisCache:
    """Reads what one Redis URL names. Every command touches one key, so that it also runs on a cluster."""

    def __init__(self, nodes: Nodes, refusals: Refusals, bulk: BulkReader | None = None) -> None:
        """`bulk`: how large projects are read from the same Redis."""
        self._nodes = nodes
        self._refusals = refusals
        self._bulk = bulk

    async def meta(self, project: ProjectId) -> CacheMeta | None:
        """What Redis says that it holds; None where it holds nothing."""
        fields = await self._ask("HGETALL", keys.meta(project))
        if not fields:
            return None
        refilling = b"token" in fields
        try:
            return CacheMeta(
                Position(int(fields[b"epoch"]), int(fields[b"revision"])),
                int(fields[b"count"]),
                wire.parse_digest(fields[b"digest"].decode()),
                refilling,
            )
        except (KeyError, ValueError) as error:
            if refilling:  # a refill that has only begun
                return CacheMeta(Position(0, 0), 0, 0, refilling)
            raise UnreadableError(f"{keys.meta(project)} is not readable: {error}") from error

    async def catalogue(self, project: ProjectId) -> Catalogue | None:
        """The project's catalogue; None where it is not there."""
        data = await self._ask("GET", keys.catalog(project))
        if data is None:
            return None
        try:
            catalogue = catalogues.decode(data)
        except CatalogueError as error:
            raise UnreadableError(str(error)) from error
        if catalogue.project_id != project:
            raise UnreadableError(f"{keys.catalog(project)} holds another project's catalogue")
        return catalogue

    async def fill(self, copy: Copy, users: int) -> None:
        """Take every document of the users set, of which there are about `users`, into an empty copy."""
        # One that cannot be read shows as a difference of the digest later; the others are none the worse.
        if self._bulk is not None and users >= WORTH_IT:
            for error in await self._bulk.fill(copy, users):
                self._refuse(copy.project, error)
        else:
            await fill(copy, self._documents(copy.project), lambda error: self._refuse(copy.project, error))

    def _refuse(self, project: ProjectId, error: DocumentError) -> None:
        self._refusals.note(project, "documents", error)

    async def _documents(self, project: ProjectId) -> AsyncIterator[Batch]:
        """Every document with its user, some at a time; a user may come twice."""
        cursor = 0
        while True:
            cursor, members = await self._ask("SSCAN", keys.users(project), cursor, "COUNT", _SCAN)
            for start in range(0, len(members), _SCAN):
                yield await self._read(project, members[start : start + _SCAN])
            if cursor == 0:
                return

    async def changes(self, project: ProjectId, after: Position, most: int) -> Sequence[Change]:
        """At most `most` entries of the log beyond `after`, in order."""
        log, first = keys.changes(after.epoch, project), f"{after.revision + 1}-0"
        entries = await self._ask("XRANGE", log, first, "+", "COUNT", most)
        return [self._entry(project, fields) for _, fields in entries]

    @asynccontextmanager
    async def subscribe(self, project: ProjectId) -> AsyncIterator["RedisSubscription"]:
        """Subscribed once entered; to any server of a cluster, since each is told what another one is."""
        with _translated():
            addresses = await self._nodes.addresses()
            pubsub = self._nodes.client(random.choice(addresses)).pubsub()  # noqa: S311 - it spreads the load
        try:
            channel = keys.channel(project)
            subscription = RedisSubscription(pubsub, channel.encode(), patient=not self._nodes.moves)
            with _translated():
                await pubsub.subscribe(channel)
                await subscription.confirmed()
            yield subscription
        except UnavailableError:
            self._nodes.doubt()
            raise
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def announce(self, project: ProjectId, instance: str, body: bytes, seen_at: float) -> None:
        """Write this sidecar's presence; `seen_at` in Unix seconds."""
        presence = ("SET", keys.sidecar(project, instance), body, "EX", _PRESENCE_SECONDS)
        await self._send([presence, ("ZADD", keys.sidecars(project), seen_at, instance)])

    async def _read(self, project: ProjectId, members: list[bytes]) -> Batch:
        users = [UserId(member.decode(errors="replace")) for member in members]
        return Batch(members, await self._send([("GET", keys.document(user, project)) for user in users]))

    async def _ask(self, *command: Any) -> Any:
        return (await self._send([command]))[0]

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        with _translated():
            replies = await self._nodes.send(commands)
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies

    def _entry(self, project: ProjectId, fields: dict[bytes, bytes]) -> Change:
        try:
            message = read_message(fields.get(keys.STREAM_FIELD.encode(), b""), project)
        except WireError as error:
            self._refusals.note(project, "log", error)
            raise UnreadableError(f"the change log is not readable: {error}") from error
        if isinstance(message, Heartbeat):
            fault = WireError("the change log holds a heartbeat")
            self._refusals.note(project, "log", fault)
            raise UnreadableError(str(fault)) from fault
        return message


class RedisSubscription:
    """One connection that listens. `patient`: it stays as long as it is answered, though nothing is published."""

    def __init__(self, pubsub: PubSub, channel: bytes, *, patient: bool) -> None:
        self._pubsub = pubsub
        self._channel = channel
        self._patient = patient
        self._asked = False
        self._silent = 0

    async def confirmed(self) -> None:
        """Wait for Redis to say that the subscription stands."""
        reply = await self._pubsub.get_message(timeout=_ANSWER_SECONDS)
        if reply is None or reply["type"] != "subscribe":
            raise UnavailableError("redis does not confirm the subscription")

    async def next(self) -> bytes:
        """The next message; UnavailableError once the connection is lost, or silent and dead."""
        while True:
            with _translated():
                reply: dict[str, Any] | None = await self._pubsub.get_message(timeout=_SILENCE_SECONDS)
                if reply is None:
                    self._silent += 1
                    if self._asked:
                        raise UnavailableError("redis does not answer on the subscription")
                    if self._silent > _MOST_SILENT and not self._patient:
                        raise UnavailableError("nothing is published there; another server may be told more")
                    await self._pubsub.ping()
                self._asked = reply is None
            # Redis numbers connections anew once it was restarted, and may tell this one what was meant for another.
            if reply is not None and reply["type"] == "message" and reply["channel"] == self._channel:
                self._silent = 0
                return bytes(reply["data"])


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise UnavailableError(f"redis: {explained(error)}") from error
