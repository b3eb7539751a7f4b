"""Redis, as the sidecar reads it: meta, documents, catalogue, change log and channel; and its presence there."""

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from common import catalogue as catalogues
from common import keys, wire
from common.catalogue import Catalogue, CatalogueError
from common.identifiers import ProjectId, UserId
from common.position import Position
from common.wire import Change, Heartbeat, WireError
from sidecar.filling import fill
from sidecar.refusals import Refusals
from sidecar.replica import Copy
from sidecar.shares import WORTH_IT, ShareError, Shares
from sidecar.sources import CacheMeta, UnavailableError, UnreadableError, read_message

_log = logging.getLogger(__name__)

_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 5.0  # a subscription without heartbeats for so long is asked whether it lives
_SCAN: Final = 256  # users a step: one pipeline of GETs, a few milliseconds to decode
_PRESENCE_SECONDS: Final = 10


def connect(url: str) -> Redis:
    """A client that opens connections when it needs them, and fails at once rather than trying by itself."""
    return Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        health_check_interval=0,
    )


class RedisCache:
    """Reads one Redis. Every command touches one key, so that it also runs on a cluster."""

    def __init__(self, client: Redis, refusals: Refusals, shares: Shares | None = None) -> None:
        """`shares`: how large projects are read from the same Redis."""
        self._client = client
        self._refusals = refusals
        self._shares = shares

    async def meta(self, project: ProjectId) -> CacheMeta | None:
        """What Redis says that it holds; None where it holds nothing."""
        with _translated():
            fields: Any = await self._client.hgetall(keys.meta(project))
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
        with _translated():
            data: Any = await self._client.get(keys.catalog(project))
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
        if self._shares is not None and users >= WORTH_IT:
            try:
                for error in await self._shares.fill(copy, users):
                    self._refusals.note(copy.project, "documents", error)
            except ShareError as error:
                _log.warning("cannot read in several processes project=%s error=%s; reading alone", copy.project, error)
            else:
                return
        # One that cannot be read shows as a difference of the digest later; the others are none the worse.
        await fill(
            copy, self._documents(copy.project), lambda error: self._refusals.note(copy.project, "documents", error)
        )

    async def _documents(self, project: ProjectId) -> AsyncIterator[Iterable[tuple[bytes, bytes]]]:
        """Every document with its user, some at a time; a user may come twice."""
        cursor = 0
        while True:
            with _translated():
                reply: Any = await self._client.sscan(keys.users(project), cursor, count=_SCAN)
            cursor, members = reply
            for start in range(0, len(members), _SCAN):
                yield await self._read(project, members[start : start + _SCAN])
            if cursor == 0:
                return

    async def changes(self, project: ProjectId, after: Position, most: int) -> Sequence[Change]:
        """At most `most` entries of the log beyond `after`, in order."""
        with _translated():
            entries: Any = await self._client.xrange(
                keys.changes(after.epoch, project), min=f"{after.revision + 1}-0", count=most
            )
        return [self._entry(project, fields) for _, fields in entries]

    @asynccontextmanager
    async def subscribe(self, project: ProjectId) -> AsyncIterator["RedisSubscription"]:
        """Subscribed once entered."""
        pubsub = self._client.pubsub()
        try:
            subscription = RedisSubscription(pubsub)
            with _translated():
                await pubsub.subscribe(keys.channel(project))
                await subscription.confirmed()
            yield subscription
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def announce(self, project: ProjectId, instance: str, body: bytes, seen_at: float) -> None:
        """Write this sidecar's presence; `seen_at` in Unix seconds."""
        with _translated():
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.set(keys.sidecar(project, instance), body, ex=_PRESENCE_SECONDS)
                pipeline.zadd(keys.sidecars(project), {instance: seen_at})
                await pipeline.execute()

    async def _read(self, project: ProjectId, members: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
        with _translated():
            async with self._client.pipeline(transaction=False) as pipeline:
                for member in members:
                    pipeline.get(keys.document(UserId(member.decode(errors="replace")), project))
                found: list[bytes | None] = await pipeline.execute()
        return [(member, data) for member, data in zip(members, found, strict=True) if data is not None]

    def _entry(self, project: ProjectId, fields: dict[bytes, bytes]) -> Change:
        try:
            message = read_message(fields.get(keys.STREAM_FIELD.encode(), b""), project)
        except WireError as error:
            self._refusals.note(project, "log", error)
            raise UnreadableError(f"the change log is not readable: {error}") from error
        if isinstance(message, Heartbeat):
            raise UnreadableError("the change log holds a heartbeat")
        return message


class RedisSubscription:
    """One connection that listens."""

    def __init__(self, pubsub: PubSub) -> None:
        self._pubsub = pubsub
        self._asked = False

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
                    if self._asked:
                        raise UnavailableError("redis does not answer on the subscription")
                    await self._pubsub.ping()
                self._asked = reply is None
            if reply is not None and reply["type"] == "message":
                return bytes(reply["data"])


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise UnavailableError(f"redis: {type(error).__name__}: {error}") from error
