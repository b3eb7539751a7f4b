"""What a sidecar reads from the writer when it cannot reach Redis: `snapshot` and `changes` (invariant 7)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from common import document as documents
from common import http, transfer
from common.clock import SystemClock
from common.position import Position
from common.transfer import ChangesPage, SnapshotHead
from tests.support.history import grant
from tests.support.ledger import Ledger
from tests.support.waiting import eventually
from tests.support.writer_routes import OneProject
from writer.changes import ChangesHandler
from writer.lineage import LineageKeeper
from writer.relay.backlog import Backlog, Page
from writer.relay.heads import Heads
from writer.relay.metrics import RelayMetrics
from writer.relay.project_snapshot import ProjectSnapshots
from writer.snapshot import SnapshotHandler
from writer.wakeup import Wakeup

Client = TestClient[web.Request, web.Application]


class _CountingBacklog(Backlog):
    """Counts what it reads."""

    reads = 0

    async def page(self, project_id: int, after: Position, limit: int) -> Page:
        self.reads += 1
        return await super().page(project_id, after, limit)


@dataclass(frozen=True, slots=True)
class _Writer:
    client: Client
    changes: ChangesHandler
    backlog: _CountingBacklog
    wakeup: Wakeup


@pytest_asyncio.fixture
async def writer(engine: AsyncEngine, ledger: Ledger) -> AsyncIterator[_Writer]:
    """Both routes over HTTP, with heads that are kept current."""
    wakeup = Wakeup()
    heads = Heads(engine, wakeup)
    lineage = LineageKeeper(engine, RelayMetrics(CollectorRegistry()), wakeup.notify)
    access = OneProject(ledger)
    backlog = _CountingBacklog(engine)
    changes = ChangesHandler(backlog, heads, lineage, access, SystemClock())
    app = web.Application(middlewares=[http.middleware])
    app.add_routes([*SnapshotHandler(ProjectSnapshots(engine), access).routes(), *changes.routes()])
    keeping = asyncio.create_task(heads.run())
    async with TestClient(TestServer(app)) as client:
        yield _Writer(client, changes, backlog, wakeup)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def _changes(writer: _Writer, epoch: int, after: int, wait: str = "0") -> tuple[int, bytes]:
    query = {"project_id": "shop", "epoch": str(epoch), "after": str(after), "wait": wait}
    async with writer.client.get("/api/v1/changes", params=query) as response:
        return response.status, await response.read()


async def _page(writer: _Writer, epoch: int, after: int, wait: str = "0") -> ChangesPage:
    status, body = await _changes(writer, epoch, after, wait)
    assert status == HTTPStatus.OK, body
    return transfer.decode_page(body)


async def _snapshot(writer: _Writer) -> tuple[SnapshotHead, dict[str, documents.Document]]:
    async with writer.client.get("/api/v1/snapshot", params={"project_id": "shop"}) as response:
        assert response.status == HTTPStatus.OK
        assert response.content_type == transfer.SNAPSHOT_TYPE
        assert response.headers["Content-Encoding"] in {"gzip", "deflate"}
        first, *lines, last = (await response.read()).splitlines()
    held = [documents.decode(line) for line in lines]
    assert transfer.decode_end(last) == len(held)
    return transfer.decode_head(first), {document.user_id: document for document in held}


async def test_a_snapshot_holds_every_document_that_is_not_empty(writer: _Writer, ledger: Ledger) -> None:
    """Head, documents, end: catalogue, count and digest are of exactly the position that the head names."""
    await ledger.edit("pro")
    await ledger.change_many({f"user_{n}": [grant()] for n in range(2_100)})
    await ledger.change("user_0")
    head, held = await _snapshot(writer)
    assert head.position == await ledger.head()
    assert set(held) == {f"user_{n}" for n in range(1, 2_100)}
    assert head.count == len(held)
    assert list(head.catalogue.features) == ["pro"]
    digest = 0
    for document in held.values():
        digest ^= documents.digest_of(document)
    assert digest == head.digest


async def test_a_snapshot_is_consistent_while_writes_go_on(writer: _Writer, ledger: Ledger) -> None:
    """However many revisions are committed while it is read, digest and documents stand at one position."""
    await ledger.edit("pro")
    await ledger.change_many({f"user_{n}": [grant()] for n in range(1_500)})
    stop = asyncio.Event()

    async def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await ledger.change(f"user_{number % 1_500}", *([grant("max")] if number % 2 else []))

    writing = asyncio.create_task(write())
    try:
        for _ in range(5):
            head, held = await _snapshot(writer)
            digest = 0
            for document in held.values():
                digest ^= documents.digest_of(document)
            assert (digest, len(held)) == (head.digest, head.count)
    finally:
        stop.set()
        await writing


async def test_a_snapshot_that_is_still_current_is_not_sent_again(writer: _Writer, ledger: Ledger) -> None:
    """If-None-Match with the position's ETag is answered 304, and 200 again after the next revision."""
    await ledger.change("ada", grant())
    async with writer.client.get("/api/v1/snapshot") as response:
        tag = response.headers["ETag"]
        assert tag == f'"{(await ledger.head()).token}"'
        await response.read()
    async with writer.client.get("/api/v1/snapshot", headers={"If-None-Match": tag}) as response:
        assert response.status == HTTPStatus.NOT_MODIFIED
    await ledger.change("bob", grant())
    async with writer.client.get("/api/v1/snapshot", headers={"If-None-Match": tag}) as response:
        assert response.status == HTTPStatus.OK
        await response.read()


async def test_changes_give_what_followed_in_order(writer: _Writer, ledger: Ledger) -> None:
    """Revisions after the asked one, gapless, with a heartbeat of the committed head."""
    await ledger.edit("pro")
    for number in range(4):
        await ledger.change(f"user_{number}", grant())
    head = await ledger.head()
    page = await _page(writer, head.epoch, 2)
    assert [change.position.revision for change in page.changes] == [3, 4, 5]
    assert (page.heartbeat.position, page.heartbeat.head, page.heartbeat.count) == (head, 5, 4)
    assert (await _page(writer, head.epoch, 5)).changes == []


async def test_changes_wait_for_the_next_revision(writer: _Writer, ledger: Ledger) -> None:
    """A poll at the head is answered as soon as something is committed."""
    epoch = (await ledger.head()).epoch
    waiting = asyncio.create_task(_page(writer, epoch, 0, "20"))
    await eventually(lambda: _has_read(writer, 1))
    await ledger.change("ada", grant())
    writer.wakeup.notify()
    page = await waiting
    assert [change.position.revision for change in page.changes] == [1]


async def test_many_that_wait_are_served_by_few_reads(writer: _Writer, ledger: Ledger) -> None:
    """Hundreds of pollers at the same position cost a read or two, not one each."""
    epoch = (await ledger.head()).epoch
    waiting = [asyncio.create_task(_page(writer, epoch, 0, "20")) for _ in range(90)]
    await eventually(lambda: _are_waiting(writer, 90))
    before = writer.backlog.reads
    await ledger.change("ada", grant())
    writer.wakeup.notify()
    pages = await asyncio.gather(*waiting)
    assert all(page.changes[0].position == (epoch, 1) for page in pages)
    assert writer.backlog.reads - before < 10


async def test_a_shutdown_answers_those_who_wait(writer: _Writer, ledger: Ledger) -> None:
    """`end` lets every long poll go with what there is."""
    waiting = asyncio.create_task(_page(writer, (await ledger.head()).epoch, 0, "25"))
    await eventually(lambda: _are_waiting(writer, 1))
    writer.changes.end()
    assert (await waiting).changes == []


async def test_another_epoch_is_gone(writer: _Writer, ledger: Ledger) -> None:
    """Who follows an older epoch is told to take a snapshot, and which epoch there is now."""
    head = await ledger.head()
    status, body = await _changes(writer, head.epoch - 5, 3)
    assert (status, orjson.loads(body)["code"]) == (HTTPStatus.GONE, "epoch_changed")
    assert orjson.loads(body)["epoch"] == head.epoch


@pytest.mark.parametrize("kept_from", [3, 99])
async def test_trimmed_changes_are_gone(writer: _Writer, ledger: Ledger, kept_from: int) -> None:
    """Whether some or none of the revisions after the asked one are left: a gap is never passed over."""
    for number in range(4):
        await ledger.change(f"user_{number}", grant())
    await ledger.query("DELETE FROM outbox WHERE revision < :kept", kept=kept_from)
    status, body = await _changes(writer, (await ledger.head()).epoch, 1)
    assert (status, orjson.loads(body)["code"]) == (HTTPStatus.GONE, "changes_gone")


@pytest.mark.parametrize(("epochs", "revisions"), [(0, 1), (7, 0)])
async def test_who_is_ahead_begins_a_new_epoch(writer: _Writer, ledger: Ledger, epochs: int, revisions: int) -> None:
    """A caller that knows what was never committed gets 409, and the project's epoch rises above what it knows."""
    await ledger.change("ada", grant())
    head = await ledger.head()
    status, body = await _changes(writer, head.epoch + epochs, head.revision + revisions)
    assert (status, orjson.loads(body)["code"]) == (HTTPStatus.CONFLICT, "ahead")
    assert (await ledger.head()).epoch > head.epoch + epochs


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "invalid_position"),
        ({"epoch": "1"}, "invalid_position"),
        ({"epoch": "x", "after": "1"}, "invalid_position"),
        ({"epoch": "1", "after": "-1"}, "invalid_position"),
        ({"epoch": "1", "after": "1", "wait": "26"}, "invalid_wait"),
        ({"epoch": "1", "after": "1", "wait": "soon"}, "invalid_wait"),
    ],
)
async def test_bad_questions_are_problems(writer: _Writer, query: dict[str, str], code: str) -> None:
    """What is not a position or a wait is answered 400 with what is allowed."""
    async with writer.client.get("/api/v1/changes", params=query) as response:
        assert response.status == HTTPStatus.BAD_REQUEST
        assert (await response.json(content_type="application/problem+json"))["code"] == code


async def _has_read(writer: _Writer, reads: int) -> bool:
    return writer.backlog.reads >= reads


async def _are_waiting(writer: _Writer, count: int) -> bool:
    return len(writer.changes._waiting) == count
