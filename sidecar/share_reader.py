"""A process of its own that reads its share of a project's documents from Redis, and packs them.

A million documents are more than one core can read in the time in which an app should start. So the sidecar starts a
process for each core, and each takes the users of some of the pages: it walks the users set, gets its documents, and
hands back whole pages. It blocks, and has nothing else to do. What it is told comes on stdin, the Redis URL with its
password among it; what it found goes to stdout, framed: an object of JSON, then pages.
"""

import gc
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
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
from sidecar.packing import DoubtError, Packer
from sidecar.pages import BETWEEN, PER_PAGE, Pages, appended, hash_of
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
    """Share number `share` out of `shares`, a power of two, of pages for about `users` users.

    A share's pages are every `shares`-th one, from number `share` on: what belongs to it shows in a hash's last bits.
    """

    url: str = field(repr=False)
    primary: tuple[str, int] | None
    """Where the sentinels said that it is; None where the URL says it."""
    project: ProjectId
    users: int
    share: int
    shares: int

    def pages(self) -> Pages:
        """Empty pages, as many in every share of a project."""
        return Pages.with_room(max(self.users, self.shares * PER_PAGE))


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
        self._job = job
        self.pages = job.pages()
        self.grants = _Grants(job.share, job.shares)
        self._packer = Packer(job.project, self.grants)
        self.digest = 0
        self.horizon: tuple[int, int] = NOWHERE
        self.refused: list[str] = []
        self.refusals = 0

    def read(self, connection: Any) -> None:
        """Walk the users set and take every document of ours."""
        replies = Replies(connection._sock.recv)  # noqa: SLF001 - a million replies are more than its own reader can do
        connection.send_packed_command([self._scan(b"0")])
        cursor, members = replies.scan()
        found: tuple[list[bytes], list[bytes | None]] | None = None
        while True:
            mine = self._own(members)
            last = cursor == b"0"
            connection.send_packed_command([self._get(mine) + (b"" if last else self._scan(cursor))])
            # Redis works on that while the documents before are taken.
            if found is not None:
                self._take(*found)
            found = mine, replies.array() if mine else []
            if last:
                break
            cursor, members = replies.scan()
        self._take(*found)

    def _own(self, users: Sequence[bytes]) -> list[bytes]:
        """Our share of these users."""
        bits, share = self._job.shares - 1, self._job.share
        return [user for user in users if hash_of(user) & bits == share]

    def _scan(self, cursor: bytes) -> bytes:
        return _command(b"SSCAN", keys.users(self._job.project).encode(), cursor, b"COUNT", b"%d" % SCAN)

    def _get(self, users: Sequence[bytes]) -> bytes:
        """One command for all of them, which takes Redis half as long; on a cluster they would be on several nodes."""
        before, _, after = keys.document(UserId("*"), self._job.project).partition("*")
        framing = len(before) + len(after.encode())
        pattern = f"$%d\r\n{before}%b{after}\r\n".encode()
        names = [pattern % (len(user) + framing, user) for user in users]
        return b"*%d\r\n$4\r\nMGET\r\n%b" % (len(users) + 1, b"".join(names)) if users else b""

    def _take(self, users: Sequence[bytes], found: Sequence[bytes | None]) -> None:
        pages, place, pack = self.pages.pages, self.pages.place, self._packer.pack_plain
        horizon = self.horizon
        digests: list[bytes] = []
        for user, data in zip(users, found, strict=True):
            if data is None:
                continue
            try:
                told, epoch, revision, record, canonical = pack(data)
            except DoubtError:
                self._take_carefully(user, data)
                continue
            index = place(hash_of(user))
            page = appended(pages[index], user, record) if record and told == user else None
            if page is None:
                self._take_carefully(user, data)
                continue
            if revision > horizon[1] or epoch != horizon[0]:
                horizon = max(horizon, (epoch, revision))
            pages[index] = page
            digests.append(blake2b(canonical, digest_size=16).digest())
        self.horizon = max(horizon, self.horizon)
        self.pages.count += len(digests)
        self.digest ^= xor_of(digests)

    def _take_carefully(self, user: bytes, data: bytes) -> None:
        """One that is not plain, or that is held already: a walk may meet a user twice, changed meanwhile."""
        try:
            entry = self._packer.pack_of(user, data)
        except DocumentError as error:
            self.refusals += 1
            if len(self.refused) < MOST_TOLD:
                self.refused.append(str(error))
            return
        self.horizon = max(self.horizon, entry.position)
        held = self.pages.get(user)
        if held is not None:
            digest, position = digest_of_record(user, held, self.grants)
            if entry.position <= position:
                return
            self.digest ^= digest
        self.digest ^= entry.digest
        if not entry.record:
            self.pages.remove(user)
        elif held is not None:
            self.pages.put(user, entry.record)
        else:  # without parting a page: the shares' pages must stay as many
            index = self.pages.place(hash_of(user))
            page = appended(self.pages.pages[index], user, entry.record)
            if page is not None:
                self.pages.pages[index] = page
                self.pages.count += 1

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
        pages = self.pages.pages[self._job.share :: self._job.shares]
        self.pages.pages.clear()
        pages.reverse()
        while pages:
            _write_frame(out, BETWEEN.join(pages[: -PAGES_A_FRAME - 1 : -1]))
            del pages[-PAGES_A_FRAME:]  # two processes need not hold it all
        out.flush()


def xor_of(digests: list[bytes]) -> int:
    """The XOR of digests of 16 bytes; of hundreds at once, halves laid over each other."""
    joined, count = int.from_bytes(b"".join(digests), "big"), len(digests)
    while count > 1:
        half = (count + 1) // 2
        joined, count = (joined >> (128 * half)) ^ (joined & ((1 << (128 * half)) - 1)), half
    return joined


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
