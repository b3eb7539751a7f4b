"""The writer over HTTP: snapshot, changes and a single user's document. Each project has its own key."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout

from common import document as documents
from common import transfer
from common.document import MAX_DOCUMENT_BYTES, Document, DocumentError
from common.identifiers import ProjectId, UserId
from common.position import Position
from common.settings import Secret
from common.transfer import ChangesPage, SnapshotHead
from common.wire import WireError
from sidecar.filling import Batch, fill
from sidecar.replica import Copy
from sidecar.sources import AheadError, ChangesGoneError, SourceError, UnavailableError, UnreadableError

_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 2.0  # on top of what a poll may wait
_STREAM_SILENCE_SECONDS: Final = 10.0  # a snapshot may take long as a whole, but not between two pieces
_MOST_ANSWER: Final = 64 * MAX_DOCUMENT_BYTES  # of changes; what is more comes sooner as a snapshot, which streams
_MOST_LINE: Final = 8 * MAX_DOCUMENT_BYTES  # the head carries the catalogue


class WriterOrigin:
    """Asks one writer."""

    def __init__(self, session: ClientSession, url: str, keys: Mapping[ProjectId, Secret]) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._keys = keys

    async def changes(self, project: ProjectId, after: Position, wait: float) -> ChangesPage:
        """Changes right after `after`; see `sidecar.catchup.ChangesOrigin`."""
        params = {"project_id": project, "epoch": str(after.epoch), "after": str(after.revision), "wait": f"{wait:g}"}
        data = await self._read("changes", project, params, wait + _ANSWER_SECONDS)
        try:
            return transfer.decode_page(data)
        except WireError as error:
            raise UnreadableError(str(error)) from error

    async def document(self, project: ProjectId, user: UserId) -> Document:
        """The user's document as the writer has it now."""
        data = await self._read("entitlements", project, {"project_id": project, "user_id": user}, _ANSWER_SECONDS)
        try:
            return documents.decode(data)
        except DocumentError as error:
            raise UnreadableError(str(error)) from error

    @asynccontextmanager
    async def snapshot(self, project: ProjectId) -> AsyncIterator["WriterSnapshot"]:
        """Every document at one position."""
        timeout = ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_STREAM_SILENCE_SECONDS)
        with _translated():
            async with self._session.get(
                self._path("snapshot"), params={"project_id": project}, headers=self._headers(project), timeout=timeout
            ) as response:
                await _raise_for(response)
                yield await WriterSnapshot.open(project, response)

    async def _read(self, what: str, project: ProjectId, params: Mapping[str, str], seconds: float) -> bytes:
        timeout = ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        with _translated():
            async with self._session.get(
                self._path(what), params=params, headers=self._headers(project), timeout=timeout
            ) as response:
                await _raise_for(response)
                return await _bounded(response, what)

    def _path(self, what: str) -> str:
        return f"{self._url}/api/v1/{what}"

    def _headers(self, project: ProjectId) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._keys[project].reveal()}"}


class WriterSnapshot:
    """A snapshot as it streams in."""

    def __init__(self, head: SnapshotHead, lines: AsyncIterator[Sequence[bytes]], rest: Sequence[bytes]) -> None:
        self.head = head
        self._lines = lines
        self._rest = rest
        self._end: int | None = None
        """How many documents it says to have held, once it has ended."""

    @classmethod
    async def open(cls, project: ProjectId, response: ClientResponse) -> "WriterSnapshot":
        """Read the head."""
        lines = _lines(response)
        first = await anext(lines, None)
        if first is None:
            raise UnreadableError("the snapshot is empty")
        try:
            head = transfer.decode_head(first[0])
        except WireError as error:
            raise UnreadableError(str(error)) from error
        if head.project_id != project:
            raise UnreadableError(f"the snapshot is of project {head.project_id!r}")
        return cls(head, lines, first[1:])

    async def fill(self, copy: Copy) -> None:
        """Take every document; UnreadableError where the snapshot ends early or has a fault."""
        count = await fill(copy, self._documents(), _refuse)
        if self._end != count:
            raise UnreadableError(f"the snapshot holds {count} documents and says {self._end}")

    async def _documents(self) -> AsyncIterator[Batch]:
        lines: Sequence[bytes] = self._rest
        while True:
            found: list[bytes | None] = list(self._before_end(lines))
            yield Batch([None] * len(found), found)
            if self._end is not None:
                return
            following = await anext(self._lines, None)
            if following is None:
                raise UnreadableError("the snapshot ends early")
            lines = following

    def _before_end(self, lines: Sequence[bytes]) -> Iterator[bytes]:
        for line in lines:
            try:
                self._end = transfer.decode_end(line)
            except WireError as error:
                _refuse(error)
            if self._end is not None:
                return
            yield line


def _refuse(error: WireError | DocumentError) -> None:
    raise UnreadableError(f"the snapshot is not readable: {error}") from error


async def _lines(response: ClientResponse) -> AsyncIterator[Sequence[bytes]]:
    """Whole lines, as many as came at once; never an empty sequence."""
    rest = b""
    async for piece in response.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _MOST_LINE:
            raise UnreadableError("the snapshot has a line that is too long")
        whole = [line for line in lines if line]
        if whole:
            yield whole
            await asyncio.sleep(0)  # pieces that are there already would hold everybody else up
    if rest:
        yield [rest]


async def _bounded(response: ClientResponse, what: str) -> bytes:
    """The whole body; UnreadableError where it is far larger than any that a writer sends."""
    pieces: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_ANSWER:
            raise UnreadableError(f"{what} has more than {_MOST_ANSWER} bytes")
    return b"".join(pieces)


async def _raise_for(response: ClientResponse) -> None:
    if response.status == HTTPStatus.OK:
        return
    code, detail = _problem(await response.read())
    raise refusal(response.status, code, detail)


def refusal(status: int, code: str, detail: str) -> SourceError:
    """What an answer of the writer that is none means."""
    kind: type[SourceError] = UnavailableError
    if code == "ahead":
        kind = AheadError
    elif status in (HTTPStatus.CONFLICT, HTTPStatus.GONE):
        kind = ChangesGoneError
    return kind(f"the writer answers {status} {code}: {detail}")


def _problem(body: bytes) -> tuple[str, str]:
    try:
        parsed: Any = orjson.loads(body)
        return str(parsed["code"]), str(parsed.get("detail", ""))
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return "without_code", "(no problem document)"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ClientError, OSError, TimeoutError) as error:
        raise UnavailableError(f"the writer: {type(error).__name__}: {error}") from error
