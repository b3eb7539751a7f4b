"""The hot request answered from its bytes: a whole `GET /api/v1/check` in one read, before any parser.

Everything else is None here, and goes the ordinary way, which answers the same (`tests/contract/lanes`). So there is
one rule for what may be done here: only what leaves no doubt.

An answer has three parts. What was decided, with what stands at its end, is remembered by the request's query
string, for as long as the user's page is the same object and no row begins or ends. What the copy stands at is put
together at most once a millisecond. The head is the same for a second and a length.

The most common questions are answered natively (`native/answer.h`) out of the same parts, which is quicker than to
remember: by what was seen of the copy last, so that a look at the end tells whether the answer may be given.
"""

from collections.abc import Callable, Mapping
from email.utils import formatdate
from types import ModuleType
from typing import Final

from aiohttp.http import SERVER_SOFTWARE

from common.clock import SECOND, Clock, Instant
from common.identifiers import ProjectId
from sidecar.check_counts import QUICK, CheckCounts
from sidecar.plain_headers import MOST_BYTES, PlainHeaders
from sidecar.project import Project
from sidecar.quick_decision import Decided, Decisions, Form

_native: ModuleType | None
try:
    from sidecar import _native
except ImportError:  # there was no compiler
    _native = None

PATH: Final = "/api/v1/check"
_BEGINNING: Final = b"GET /api/v1/check?"
_SKIP: Final = len(_BEGINNING)
_VERSION: Final = b" HTTP/1.1\r\n"
_LENGTHS: Final = 2_048
"""Heads are remembered of answers shorter than that; most have some 300 bytes."""

_REMEMBERED: Final = 65_536
"""Places for decisions, a power of two: each query has one, and takes it from whoever had it. Nothing is ever cleared
out at once, which would take milliseconds."""


class FastLane:
    """Answers what it can. Used by one loop's connections."""

    def __init__(self, projects: Mapping[ProjectId, Project], counts: CheckCounts, clock: Clock) -> None:
        self._decisions = Decisions(projects, counts)
        self._held = self._decisions.held
        self._counts = counts
        self._headers = PlainHeaders()
        self._plain = self._headers.known
        self._now: Callable[[], Instant] = clock.now
        self._monotonic: Callable[[], float] = clock.monotonic
        self._remembered: list[Decided | None] = [None] * _REMEMBERED
        self._heads: list[bytes | None] = [None] * _LENGTHS
        self._second = -1

    def answer(self, data: bytes) -> bytes | None:
        """The whole response to `data`, a whole request; None where the ordinary lane is to answer."""
        began, now = self._monotonic(), self._now()
        if now // SECOND != self._second:
            self._turn(now)
        told: tuple[Form, bytes] | None = (
            None if _native is None else _native.answer(data, self._plain, self._held, self._heads, now)
        )
        if told is not None:
            form = told[0]
            view = form.view
            if form.era is not view.era or not view.holds(began):  # what it was made of is so no more
                told = None
        told = told or self._answer(data, now, began)
        if told is None:
            return None
        form, response = told
        counts = self._counts
        form.cell[0] += 1
        counts.stale += form.view.standing.stale
        took = self._monotonic() - began
        if took <= QUICK:  # as `observe` does, without a call
            counts.seconds += took
            counts.buckets[0] += 1
        else:
            counts.observe(took)
        return response

    def _answer(self, data: bytes, now: Instant, began: float) -> tuple[Form, bytes] | None:
        if not data.startswith(_BEGINNING):
            return None
        query, _, headers = data[_SKIP:].partition(_VERSION)
        if headers not in self._plain and (len(data) > MOST_BYTES or not self._headers.judge(headers)):
            return None
        found = self._find(query, now, began)
        if found is None:
            return None
        form, first = found.form, found.first
        middle, last = form.view.middle, form.last
        head = self._head(len(first) + len(middle) + len(last))
        return form, b"".join((head, first, middle, last))

    def _find(self, query: bytes, now: Instant, began: float) -> Decided | None:
        """What holds for a query now: remembered, or decided anew."""
        place = hash(query) & (_REMEMBERED - 1)
        found = self._remembered[place]
        if found is not None and found.query == query:
            form = found.form
            copy = form.view.current(began)
            if copy is None:
                return None
            pages = copy.records.pages
            if (
                found.since <= now < found.until
                and form.era is form.view.era
                and pages.pages[pages.place(found.hashed)] is found.page
            ):
                return found
        found = self._decisions.decide(query, now, began)
        if found is not None:
            self._remembered[place] = found
        return found

    def _turn(self, now: Instant) -> None:
        self._second = now // SECOND
        self._heads = [None] * _LENGTHS

    def _head(self, length: int) -> bytes:
        """The head of an answer of so many bytes, in this second."""
        known = self._heads[length] if length < _LENGTHS else None
        if known is not None:
            return known
        date = formatdate(self._second, usegmt=True)
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
            f"Date: {date}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n"
        ).encode()
        if length < _LENGTHS:
            self._heads[length] = head
        return head
