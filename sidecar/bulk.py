"""A large project read from one Redis on a thread, by a blocking connection, hundreds of documents at a time.

Most of it is native (`native/`), so that Redis, which has one core, is what takes longest. The thread waits for Redis
more than it works, and between two of its steps the event loop has its turn.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from redis.exceptions import RedisError

from common import keys
from common.document import DocumentError
from common.identifiers import ProjectId, UserId
from common.redis_faults import explained
from common.redis_pool import connect_blocking, find_primary
from common.redis_url import NodeAddress, parse
from common.settings import Secret
from sidecar.filling import AT_ONCE, Batch, Filling
from sidecar.replica import Copy
from sidecar.replies import Replies
from sidecar.sources import UnavailableError

WORTH_IT: Final = 20_000
"""Users from which on this is worth a connection and a thread."""

_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 5.0
_SECONDS: Final = 30.0
_USERS_A_SECOND: Final = 5_000  # whoever is slower than that is stuck
_MOST_TOLD: Final = 20


class BulkReader:
    """Reads from the server that a URL names."""

    def __init__(self, url: Secret) -> None:
        self._url = url

    async def fill(self, copy: Copy, users: int) -> list[DocumentError]:
        """Fill an empty copy that will hold about `users` users; what was refused on the way.

        UnavailableError: Redis does not answer, or takes too long.
        """
        try:
            reading = _Reading(copy, self._url, await find_primary(parse(self._url.reveal())))
            thread = asyncio.ensure_future(asyncio.to_thread(reading.run))
            try:
                async with asyncio.timeout(_SECONDS + users / _USERS_A_SECOND):
                    await asyncio.shield(thread)
            finally:
                reading.stop()
                await asyncio.wait([thread])  # it is soon over; the copy is nobody's until then
        except (RedisError, OSError, TimeoutError) as error:
            raise UnavailableError(f"redis: {explained(error)}") from error
        return reading.refused + reading.refused[-1:] * (reading.refusals - len(reading.refused))


class _Reading:
    """One walk over a project's users; what `run` does is done on the thread."""

    def __init__(self, copy: Copy, url: Secret, primary: NodeAddress | None) -> None:
        self.refused: list[DocumentError] = []
        """The first ones."""
        self.refusals = 0
        self._url = url
        self._primary = primary
        self._project = copy.project
        self._filling = Filling(copy, self._refuse)
        self._connection: Any = None
        self._stopped = False

    def run(self) -> None:
        """Read everything. RedisError, OSError: Redis does not answer, or it was stopped."""
        timeouts = {"socket_timeout": _ANSWER_SECONDS, "socket_connect_timeout": _CONNECT_SECONDS}
        self._connection = connect_blocking(parse(self._url.reveal()), self._primary, **timeouts)
        try:
            if not self._stopped:
                self._read()
        finally:
            self._connection.disconnect()

    def stop(self) -> None:
        """Let `run` end as soon as it can; from any thread, also before it and after it."""
        self._stopped = True
        connection = self._connection
        if connection is not None and (sock := connection._sock) is not None:  # noqa: SLF001 - as below
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        send = self._connection.send_packed_command
        replies = Replies(self._connection._sock.recv)  # noqa: SLF001 - a million are more than its own reader can do
        send([_scan(self._project, b"0")])
        cursor, users = replies.scan()
        before: Batch | None = None
        while True:
            is_last = cursor == b"0"
            send([_get(self._project, users) + (b"" if is_last else _scan(self._project, cursor))])
            # Redis works on that while the documents before are taken.
            if before is not None:
                self._take(before)
            before = Batch(users, replies.array() if users else [])
            if is_last:
                break
            cursor, users = replies.scan()
        self._take(before)

    def _take(self, batch: Batch) -> None:
        for _ in self._filling.take(batch):
            pass

    def _refuse(self, error: DocumentError) -> None:
        self.refusals += 1
        if len(self.refused) < _MOST_TOLD:
            self.refused.append(error)


def _scan(project: ProjectId, cursor: bytes) -> bytes:
    return _command(b"SSCAN", keys.users(project).encode(), cursor, b"COUNT", b"%d" % AT_ONCE)


def _get(project: ProjectId, users: Sequence[bytes]) -> bytes:
    """One command for all of them, which takes Redis half as long; on a cluster they would be on several nodes."""
    before, _, after = keys.document(UserId("*"), project).partition("*")
    framing = len(before) + len(after.encode())
    pattern = f"$%d\r\n{before}%b{after}\r\n".encode()
    names = [pattern % (len(user) + framing, user) for user in users]
    return b"*%d\r\n$4\r\nMGET\r\n%b" % (len(users) + 1, b"".join(names)) if users else b""


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))
