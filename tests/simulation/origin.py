"""The writer over HTTP, without HTTP: its handlers behind the simulated network, and who asks them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Final

from common import document as documents
from common import transfer
from common.document import Document
from common.identifiers import ProjectId, UserId
from common.position import NOWHERE, Position
from common.problems import Problem
from common.transfer import ChangesPage
from sidecar.origin import WriterSnapshot, refusal
from sidecar.sources import UnavailableError
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Connection, Network
from tests.simulation.processes import Process
from writer.changes import ChangesHandler
from writer.documents import Documents
from writer.relay.project_snapshot import ProjectSnapshots
from writer.snapshot import lines
from writer.supervision import DATABASE_FAULTS

_CONNECT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 2.0
_SILENCE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: `changes`, `document` or `snapshot` of a project."""

    what: str
    project: ProjectId
    after: Position = NOWHERE
    wait: float = 0.0
    user: UserId | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of an answer."""

    status: int
    data: bytes
    code: str = ""
    last: bool = False


class HttpServer:
    """One writer's answers to sidecars."""

    def __init__(
        self,
        loop: VirtualLoop,
        process: Process,
        changes: ChangesHandler,
        snapshots: ProjectSnapshots,
        held: Documents,
        projects: dict[ProjectId, int],
    ) -> None:
        self.process = process
        self._loop = loop
        self._changes = changes
        self._snapshots = snapshots
        self._documents = held
        self._projects = projects

    def opened(self, connection: Connection) -> None:
        """A client is there."""

    def received(self, connection: Connection, message: Request) -> None:
        """A request."""
        self._loop.start(self.process, self._serve(connection, message), f"serve {message.what}")

    def closed(self, connection: Connection) -> None:
        """Whoever asked has gone; the answer is computed all the same."""

    async def _serve(self, connection: Connection, request: Request) -> None:
        project_id = self._projects[request.project]
        try:
            if request.what == "snapshot":
                await self._send_snapshot(connection, project_id)
                return
            if request.what == "changes":
                body = await self._changes.page(project_id, request.after, request.wait)
            elif request.user is not None:
                held = await self._documents.held(project_id, request.user)
                body = documents.encode(held.document)
            connection.push(Piece(HTTPStatus.OK, body, last=True))
        except Problem as problem:
            connection.push(Piece(problem.status, b"", problem.code, last=True))
        except DATABASE_FAULTS:
            connection.push(Piece(HTTPStatus.SERVICE_UNAVAILABLE, b"", "database_unavailable", last=True))

    async def _send_snapshot(self, connection: Connection, project_id: int) -> None:
        async with self._snapshots.open(project_id) as snapshot:
            try:
                async for some in lines(snapshot):
                    connection.push(Piece(HTTPStatus.OK, some))
                    await asyncio.sleep(0)
            except DATABASE_FAULTS:
                connection.reset()
                return
        connection.push(Piece(HTTPStatus.OK, b"", last=True))


class StandInOrigin:
    """Asks whichever writer a load balancer chooses: `sidecar.app.Origin`."""

    def __init__(self, network: Network, choose: Callable[[], HttpServer]) -> None:
        self._network = network
        self._choose = choose

    async def changes(self, project: ProjectId, after: Position, wait: float) -> ChangesPage:
        """Changes right after `after`."""
        request = Request("changes", project, after=after, wait=wait)
        return transfer.decode_page(await self._read(request, wait + _ANSWER_SECONDS))

    async def document(self, project: ProjectId, user: UserId) -> Document:
        """The user's document as the writer has it now."""
        return documents.decode(await self._read(Request("document", project, user=user), _ANSWER_SECONDS))

    @asynccontextmanager
    async def snapshot(self, project: ProjectId) -> AsyncIterator[WriterSnapshot]:
        """Every document at one position."""
        with _translated():
            async with self._asked(Request("snapshot", project)) as connection:
                pieces = _pieces(connection)
                response: Any = SimpleNamespace(content=SimpleNamespace(iter_any=lambda: pieces))
                yield await WriterSnapshot.open(project, response)

    async def _read(self, request: Request, seconds: float) -> bytes:
        with _translated():
            async with asyncio.timeout(seconds), self._asked(request) as connection:
                return b"".join([data async for data in _pieces(connection)])

    @asynccontextmanager
    async def _asked(self, request: Request) -> AsyncIterator[Connection]:
        async with asyncio.timeout(_CONNECT_SECONDS):
            connection = await self._network.connect(self._choose())
        try:
            connection.send(request)
            yield connection
        finally:
            connection.close()


async def _pieces(connection: Connection) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(_SILENCE_SECONDS):
            piece: Piece = await connection.receive()
        if piece.status != HTTPStatus.OK:
            raise refusal(piece.status, piece.code, "")
        if piece.data:
            yield piece.data
        if piece.last:
            return


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:  # a timeout is one
        raise UnavailableError(f"the writer: {type(error).__name__}: {error}") from error
