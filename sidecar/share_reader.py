"""`python -m sidecar.share_reader`: a process that reads its share of a project's documents from Redis, and packs them.

A million documents are more than one core can read in the time in which an app should start. So the sidecar starts a
process for each core, and each takes the users of some of the pages: it walks the users set, gets its documents, and
hands back whole pages. It blocks, and has nothing else to do. What it is told comes on stdin, the Redis URL with its
password among it; what it found goes to stdout, framed: an object of JSON, then pages.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

import orjson
from redis.exceptions import RedisError

from common import keys
from common.document import DocumentError
from common.identifiers import ProjectId, UserId
from common.position import NOWHERE, Position
from common.redis_faults import explained
from common.redis_pool import connect_blocking
from common.redis_url import NodeAddress, parse
from common.wire import format_digest
from sidecar.packing import Entry, Packer
from sidecar.pages import BETWEEN, MARK, VALUE, Pages, find, hash_of
from sidecar.records import Grants, digest_of_record
from sidecar.replies import Replies

SCAN: Final = 500
"""Users a step: what is read of them stays in the processor's cache until it is packed."""

PAGES_A_FRAME: Final = 1_024
LENGTH_BYTES: Final = 4
NOTHING: Final[list[Any]] = ["", "", None]
"""In a list of grants, at a number that another share gives."""

MOST_TOLD: Final = 20
_ANSWER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """Share number `share` out of `shares`, of pages for about `users` users."""

    url: str = field(repr=False)
    primary: tuple[str, int] | None
    """Where the sentinels said that it is; None where the URL says it."""
    project: ProjectId
    users: int
    share: int
    shares: int


def own_pages(pages: int, share: int, shares: int) -> range:
    """The indexes of a share's pages."""
    return range(pages * share // shares, pages * (share + 1) // shares)


class _Grants(Grants):
    """Numbers that no other share gives, so that all their grants can stand in one list."""

    def __init__(self, share: int, shares: int) -> None:
        super().__init__()
        self._share = share
        self._shares = shares

    def number(self, feature: str, source: str, value: Any) -> int | list[Any]:
        while len(self.listed) % self._shares != self._share:
            self.listed.append(NOTHING)
        return super().number(feature, source, value)


class ShareReader:
    """Reads one share."""

    def __init__(self, job: Job) -> None:
        self._project = job.project
        self.pages = Pages.with_room(job.users)
        self.own = own_pages(len(self.pages.pages), job.share, job.shares)
        self.grants = _Grants(job.share, job.shares)
        self._packer = Packer(job.project, self.grants)
        self.digest = 0
        self.horizon: tuple[int, int] = NOWHERE
        self.refused: list[str] = []
        self.refusals = 0

    def read(self, connection: Any) -> None:
        """Walk the users set and take every document of ours."""
        replies = Replies(connection._sock.recv)  # noqa: SLF001 - a million replies are more than its own reader can do
        users = keys.users(self._project).encode()
        connection.send_packed_command([_command(b"SSCAN", users, b"0", b"COUNT", b"%d" % SCAN)])
        cursor, members = replies.scan()
        asked: Sequence[bytes] = ()
        while True:
            # The next step is asked for before this one's documents are read, so that Redis works meanwhile.
            mine = [member for member in members if self.pages.place(hash_of(member)) in self.own]
            commands = [] if cursor == b"0" else [_command(b"SSCAN", users, cursor, b"COUNT", b"%d" % SCAN)]
            connection.send_packed_command([b"".join((*commands, *self._gets(mine)))])
            self._take(asked, replies.bulks(len(asked)))
            asked = mine
            if cursor == b"0":
                break
            cursor, members = replies.scan()
        self._take(asked, replies.bulks(len(asked)))

    def _gets(self, members: Sequence[bytes]) -> Iterator[bytes]:
        before, _, after = keys.document(UserId("*"), self._project).partition("*")
        framing = len(before) + len(after.encode())
        pattern = f"*2\r\n$3\r\nGET\r\n$%d\r\n{before}%b{after}\r\n".encode()
        for member in members:
            yield pattern % (len(member) + framing, member)

    def _take(self, members: Sequence[bytes], found: Sequence[bytes | None]) -> None:
        pages, place, pack = self.pages.pages, self.pages.place, self._packer.pack_of
        for member, data in zip(members, found, strict=True):
            if data is None:
                continue
            try:
                entry = pack(member, data)
            except DocumentError as error:
                self.refusals += 1
                if len(self.refused) < MOST_TOLD:
                    self.refused.append(str(error))
                continue
            user, epoch, revision, record, digest = entry
            self.horizon = max(self.horizon, (epoch, revision))
            if not record:
                continue
            index = place(hash_of(user))
            page = pages[index]
            if find(page, user) is None:
                pages[index] = b"".join((page, user, VALUE, record, MARK))
                self.digest ^= digest
                self.pages.count += 1
            else:
                self._replace(entry)

    def _replace(self, entry: Entry) -> None:
        """A walk may meet a user twice, and his document may have changed meanwhile."""
        held = self.pages.get(entry.user) or b""
        digest, position = digest_of_record(entry.user, held, self.grants)
        if entry.position > position:
            self.digest ^= digest ^ entry.digest
            self.pages.put(entry.user, entry.record)

    def write(self, out: BinaryIO) -> None:
        """Tell what was found, and hand over the pages."""
        told = {
            "count": self.pages.count,
            "digest": format_digest(self.digest),
            "horizon": Position(*self.horizon).token,
            "grants": self.grants.listed,
            "refused": self.refused,
            "refusals": self.refusals,
        }
        _write_frame(out, orjson.dumps(told))
        for start in range(self.own.start, self.own.stop, PAGES_A_FRAME):
            stop = min(start + PAGES_A_FRAME, self.own.stop)
            frame = BETWEEN.join(self.pages.pages[start:stop])
            self.pages.pages[start:stop] = [MARK] * (stop - start)  # two processes need not hold it all
            _write_frame(out, frame)
        out.flush()


def _write_frame(out: BinaryIO, frame: bytes) -> None:
    out.write(len(frame).to_bytes(LENGTH_BYTES, "big"))
    out.write(frame)


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n%b" % (len(words), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))


def main() -> int:
    """The exit status: 0 where everything was read, 1 where Redis could not be, which stdout tells."""
    gc.disable()  # nothing here is ever part of a cycle
    job = Job(**orjson.loads(sys.stdin.buffer.read()))
    reader = ShareReader(job)
    address = None if job.primary is None else NodeAddress(*job.primary)
    try:
        connection = connect_blocking(
            parse(job.url), address, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS
        )
        reader.read(connection)
    except (RedisError, OSError) as error:
        _write_frame(sys.stdout.buffer, orjson.dumps({"error": explained(error)}))
        return 1
    reader.write(sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
