"""Changes: the outbox over HTTP, for sidecars that cannot reach Redis; a long poll that costs nothing meanwhile."""

import asyncio
import re
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web

from common import transfer
from common.clock import Clock
from common.document import Document
from common.position import Position
from common.problems import Problem, bad_request
from common.wire import Heartbeat
from writer.api import parameters
from writer.api.answers import ChangesAnswer
from writer.api.routes import Access, Answer, Call, Gate, Holder, route, served
from writer.outbox import OutboxEntry
from writer.relay.backlog import Backlog, Page, as_message
from writer.relay.heads import Heads
from writer.relay.inspection import Epochs

MOST_SECONDS: Final = 25.0
"""The longest wait: proxies cut idle answers at 30 or 60."""
PAGE: Final = 1_000
_PAGE_ROWS: Final = 20_000  # of entitlements, which a page of large documents reaches first
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_SECONDS = re.compile(r"\d{1,2}(\.\d{1,3})?")


def _wait(sent: str) -> float:
    if not _SECONDS.fullmatch(sent) or float(sent) > MOST_SECONDS:
        raise bad_request("invalid_wait", f"wait must be seconds from 0 to {MOST_SECONDS:g}")
    return float(sent)


def _place(sent: str | None) -> int:
    if sent is None or not _WHOLE.fullmatch(sent):
        raise bad_request("invalid_position", "epoch and after must be whole numbers, 0 or more")
    return int(sent)


_WHOLE_SCHEMA: Final = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_EPOCH: Final = parameters.required("epoch", _place, _WHOLE_SCHEMA, "As it was told", "400 invalid_position")
_AFTER: Final = parameters.required("after", _place, _WHOLE_SCHEMA, "A revision", "400 invalid_position")
_WAIT: Final = parameters.optional(
    "wait",
    _wait,
    {"type": "number", "minimum": 0, "maximum": MOST_SECONDS, "default": 1},
    "For how many seconds an answer may be waited for",
    1.0,
    "400 invalid_wait",
)


class ChangesHandler:
    """`GET /api/v1/changes?project_id=&epoch=&after=&wait=`: what followed a position, once there is something."""

    def __init__(self, backlog: Backlog, heads: Heads, epochs: Epochs, gate: Gate[Holder], clock: Clock) -> None:
        self._backlog = backlog
        self._heads = heads
        self._epochs = epochs
        self._gate = gate
        self._clock = clock
        self._reading: dict[tuple[int, Position], asyncio.Task[_Answer]] = {}
        self._waiting: set[asyncio.Task[bool]] = set()
        self._ending = False

    def routes(self) -> list[web.RouteDef]:
        """What it serves."""
        return served(self, self._gate)

    def end(self) -> None:
        """Answer everybody who waits, now and from now on: the writer shuts down."""
        self._ending = True
        for task in self._waiting:
            task.cancel()

    @route(
        "GET", "/api/v1/changes", Access.PROJECT_OR_ADMIN, Answer(HTTPStatus.OK, ChangesAnswer),
        takes=(_EPOCH, _AFTER, _WAIT), problems=("409 ahead", "410 epoch_changed", "410 changes_gone"),
        tag="sidecars", head=False,
    )  # fmt: skip
    async def get(self, call: Call[None]) -> web.Response:
        """What followed a position, as soon as there is something.

        410 `epoch_changed` and `changes_gone`: take a snapshot. 409 `ahead`: the caller knows revisions that were never
        committed here, so a new epoch begins.
        """
        after = Position(call[_EPOCH], call[_AFTER])
        body = await self.page(call.holder.project_id, after, call[_WAIT])
        response = web.Response(body=body, content_type="application/json")
        response.enable_compression()
        return response

    async def page(self, project_id: int, after: Position, wait: float) -> bytes:
        """What followed `after`; where that is nothing, the answer comes with the next commit or after `wait` seconds.

        Problems: as of `get`.
        """
        answer = await self._read(project_id, after)
        if answer.is_empty and wait and not self._ending:
            await self._news(project_id, after, wait)
            answer = await self._read(project_id, after)
        return answer.body

    async def _news(self, project_id: int, after: Position, wait: float) -> None:
        task = asyncio.create_task(self._heads.beyond(project_id, after, wait))
        self._waiting.add(task)
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            self._waiting.discard(task)

    async def _read(self, project_id: int, after: Position) -> "_Answer":
        # Hundreds wait for the same revision and wake together: one read serves all of them.
        key = (project_id, after)
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._answer(project_id, after))
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    def _done(self, key: tuple[int, Position], task: "asyncio.Task[_Answer]") -> None:
        del self._reading[key]
        if not task.cancelled():
            task.exception()

    async def _answer(self, project_id: int, after: Position) -> "_Answer":
        page = await self._backlog.page(project_id, after, PAGE)
        head = page.head.position
        if after > head:
            await self._epochs.raise_epoch(project_id, after, "changes")
            raise Problem(
                HTTPStatus.CONFLICT,
                "ahead",
                f"{after.token} was never committed here; take a snapshot of the new epoch",
            )
        _check_gapless(page, after)
        now = self._clock.now()
        standing = page.head.standing
        beat = Heartbeat(head.epoch, head.revision, head.revision, standing.count, standing.digest, now)
        changes = [as_message(entry, now) for entry in _bounded(page)]
        body = orjson.dumps(transfer.page_to_json(transfer.ChangesPage(changes, beat)))
        return _Answer(body, is_empty=not changes)


class _Answer:
    __slots__ = ("body", "is_empty")

    def __init__(self, body: bytes, *, is_empty: bool) -> None:
        self.body = body
        self.is_empty = is_empty


def _check_gapless(page: Page, after: Position) -> None:
    head = page.head.position
    if head.epoch != after.epoch:
        raise Problem(
            HTTPStatus.GONE, "epoch_changed", f"the epoch is {head.epoch} now; take a snapshot", epoch=head.epoch
        )
    first = page.entries[0].position.revision if page.entries else None
    if first != after.revision + 1 and (first is not None or head.revision > after.revision):
        raise Problem(HTTPStatus.GONE, "changes_gone", f"what followed {after.token} is not kept; take a snapshot")


def _bounded(page: Page) -> list[OutboxEntry]:
    rows = 0
    taken = []
    for entry in page.entries:
        taken.append(entry)
        rows += len(entry.body.entitlements) if isinstance(entry.body, Document) else len(entry.body.features)
        if rows >= _PAGE_ROWS:
            break
    return taken
