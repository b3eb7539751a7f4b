"""What the fast lane remembers of a question: the decision as bytes, and for how long it holds.

The most common question, of a plain feature and a user whose rows are read straight from the packed record, is
decided here by the same rule as `common.decision` has, and written into forms that `common.answers` made. All others
are decided there.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson
from yarl import URL

from common.answers import CheckQuery, Standing, concluded, decided, parse_check, stood
from common.catalogue import Kind
from common.clock import Instant, format_time
from common.decision import Decision, Reason, decide
from common.document import Entitlement
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import NOWHERE
from common.problems import Problem
from sidecar.check_counts import Cell, CheckCounts
from sidecar.freshness import State
from sidecar.pages import find, hash_of
from sidecar.project import Project
from sidecar.records import RUN, RUNS, Packed
from sidecar.replica import Copy

PATH: Final = "/api/v1/check"
_PLAIN_QUERY: Final = re.compile(
    rb"user_id=([A-Za-z0-9_.~:@-]{1,255})&feature=([A-Za-z0-9_.-]{1,64})(?:&project_id=([A-Za-z0-9_.-]{1,64}))?"
)
_ANY_QUERY: Final = re.compile(rb"[A-Za-z0-9_.~:@%+&=,!*();/?$-]+")
_FIRST: Final = -(2**63)
_LAST: Final = 2**63
"""Before and after every moment, in microseconds."""


class View:
    """A project as the fast lane sees it for a moment: the copy and its age, and what an answer says of them."""

    __slots__ = ("aged", "basis", "copy", "era", "forms", "middle", "moves", "project", "standing", "until")

    def __init__(self, project: Project) -> None:
        self.project = project
        self.copy: Copy | None = None
        self.basis: tuple[object, ...] = ()
        self.era = object()
        """Another one whenever what was decided before may not be used any more."""
        self.forms: dict[tuple[bytes, str | None], _Form] = {}
        self.moves = -1
        self.aged = -1
        self.standing = Standing(NOWHERE, 0, stale=True)
        self.middle = b""
        """The standing as an answer's members."""
        self.until = float("-inf")
        """When the age becomes another millisecond."""

    def moved(self, copy: Copy, now: float) -> bool:
        """Whether what is seen here is no longer so."""
        return (
            now >= self.until
            or copy.moves != self.moves
            or self.project.freshness.moves != self.aged
            or copy is not self.copy
        )

    def renew(self, copy: Copy, now: float) -> bool:
        """See it anew; False where answers follow the stale policy."""
        freshness = self.project.freshness
        state = freshness.state(now)
        if state is State.TOO_OLD:
            return False
        basis = (copy, copy.catalogue, copy.complete)
        if self.basis != basis:
            self.basis, self.era, self.forms = basis, object(), {}
        age = freshness.age(now)
        self.standing = Standing(copy.position, int(age * 1000), stale=state is not State.FRESH)
        self.middle = b"," + orjson.dumps(stood(self.standing))[1:-1]
        self.copy, self.moves, self.aged = copy, copy.moves, freshness.moves
        self.until = now + (self.standing.age_ms + 1) / 1000 - age
        return True


class Decided(msgspec.Struct, gc=False):
    """The decision on one query, and for how long it holds. Never part of a cycle: the collector need not know it."""

    query: bytes
    view: View
    era: object
    hashed: int
    page: bytes
    since: int
    until: int
    """Microseconds; before `until`."""
    first: bytes
    """An answer's members before the view's."""
    last: bytes
    """Those behind them."""
    cell: Cell
    """Where it is counted."""


_Form = tuple[bytes, bytes, bytes, bytes, Cell]
"""A decision around its user and its end: what stands before, between and after them, the last members, the count."""


class Decisions:
    """Decides for all projects of the process."""

    def __init__(self, projects: Mapping[ProjectId, Project], counts: CheckCounts) -> None:
        self._counts = counts
        self._views: dict[bytes | None, View] = {name.encode(): View(one) for name, one in projects.items()}
        if len(projects) == 1:
            self._views[None] = next(iter(self._views.values()))

    def decide(self, text: bytes, now: Instant) -> Decided | None:
        """The decision on a query string; None where it is not one that can be decided here and now."""
        plain = _PLAIN_QUERY.fullmatch(text)
        if plain is None:
            return self._decide_any(text, now)
        user, feature, project = plain.groups()
        view = self._views.get(project)
        copy = None if view is None else view.project.replica.copy
        if view is None or copy is None:
            return None
        known = copy.catalogue.features.get(FeatureCode(feature.decode()))
        if known is None or known.kind is not Kind.PLAIN:
            return self._decide_any(text, now)
        hashed = hash_of(user)
        page = copy.records.pages.pages[copy.records.pages.place(hashed)]
        record = find(page, user)
        rows = [] if record is None else _rows(orjson.loads(record), copy.records.grants.listed, known.code)
        if not rows and (record is not None or copy.complete):
            before, between, _, last, cell = view.forms.get((feature, None)) or self._missing(view, copy, feature)
            first = b"".join((before, user, between))
            return Decided(text, view, view.era, hashed, page, _FIRST, _LAST, first, last, cell)
        held = _held(rows, now)
        if held is None:
            return self._decide_any(text, now)
        source, valid_to, since, until = held
        before, between, after, last, cell = view.forms.get((feature, source)) or self._granted(view, feature, source)
        ends = b"null" if valid_to is None else b'"%b"' % format_time(valid_to).encode()
        first = b"".join((before, user, between, ends, after))
        return Decided(text, view, view.era, hashed, page, since, until, first, last, cell)

    def _decide_any(self, text: bytes, now: Instant) -> Decided | None:
        """The same by the ordinary way, for every question that needs nobody else."""
        try:
            query, named = _question(text)
        except (Problem, ValueError):
            return None
        view = self._views.get(named.encode() if named else None)
        copy = None if view is None else view.project.replica.copy
        if view is None or copy is None or (query.min_revision is not None and copy.position < query.min_revision):
            return None
        user = query.user.encode()
        hashed = hash_of(user)
        page = copy.records.pages.pages[copy.records.pages.place(hashed)]
        rows = copy.rows(query.user, query.feature)
        if rows is None and not copy.complete:
            return None
        decision = decide(rows or (), query.feature, copy.catalogue, now)
        first = orjson.dumps(decided(query, view.project.id, decision))[:-1]
        last = _last(query, decision)
        cell = self._counts.cell(decision.reason.value)
        return Decided(text, view, view.era, hashed, page, *bounds(rows or (), now), first, last, cell)

    def _granted(self, view: View, feature: bytes, source: str) -> _Form:
        decision = Decision(allowed=True, reason=Reason.GRANTED, source=source)
        before, between, last = self._form(view, feature, decision)
        between, mark, after = between.partition(b'"valid_to":')
        form = before, between + mark, after.removeprefix(b"null"), last, self._counts.cell(decision.reason.value)
        view.forms[feature, source] = form
        return form

    def _missing(self, view: View, copy: Copy, feature: bytes) -> _Form:
        decision = decide((), FeatureCode(feature.decode()), copy.catalogue, Instant(0))
        before, after, last = self._form(view, feature, decision)
        form = before, after, b"", last, self._counts.cell(decision.reason.value)
        view.forms[feature, None] = form
        return form

    def _form(self, view: View, feature: bytes, decision: Decision) -> tuple[bytes, bytes, bytes]:
        """A decision's bytes before its user and after, and its last members."""
        query = CheckQuery(UserId(""), FeatureCode(feature.decode()))
        first = orjson.dumps(decided(query, view.project.id, decision))[:-1]
        before, mark, after = first.partition(b'"user_id":"')
        return before + mark, after, _last(query, decision)


def _question(text: bytes) -> tuple[CheckQuery, str | None]:
    """The question of a query string, and the project that it names; read as aiohttp reads it."""
    if not _ANY_QUERY.fullmatch(text):
        raise ValueError("not a query that is read here")
    told = URL.build(path=PATH, query_string=text.decode(), encoded=True).query
    if "expected" in told:
        raise ValueError("shadow mode counts, too")
    question = parse_check(told.get("user_id"), told.get("feature"), told.get("used"), told.get("min_revision"))
    return question, told.get("project_id")


_Row = tuple[Instant, Instant | None, str]
"""Valid from, valid to, source."""


def _rows(packed: Packed, listed: list[list[Any]], wanted: FeatureCode) -> list[_Row]:
    """A record's rows of one feature, as much of them as a plain feature's decision needs."""
    found: list[_Row] = []
    for at in range(RUNS, len(packed), RUN):
        for grant in packed[at + 3]:
            feature, source, _ = listed[grant] if grant.__class__ is int else grant
            if feature == wanted:
                found.append((packed[at + 1], packed[at + 2], source))
    return found


def _held(rows: list[_Row], now: Instant) -> tuple[str, Instant | None, int, int] | None:
    """Of a plain feature: the source and end of what holds longest, and from when until before when it does.

    None where no row is active.
    """
    since, until = _FIRST, _LAST
    best: tuple[bool, int] = (False, -1)
    best_source = ""
    for valid_from, valid_to, source in rows:
        if now < valid_from:
            until = min(until, valid_from)
        elif valid_to is None or now < valid_to:
            since, until = max(since, valid_from), until if valid_to is None else min(until, valid_to)
            ends = (valid_to is None, valid_to or 0)
            if ends > best:
                best, best_source = ends, source
        else:
            since = max(since, valid_from, valid_to)
    if not best_source:
        return None
    return best_source, None if best[0] else Instant(best[1]), since, until


def bounds(rows: tuple[Entitlement, ...], now: Instant) -> tuple[int, int]:
    """From when until before when nothing in these rows begins or ends."""
    moments = [moment for row in rows for moment in (row.valid_from, row.valid_to) if moment is not None]
    return (
        max((moment for moment in moments if moment <= now), default=_FIRST),
        min((moment for moment in moments if moment > now), default=_LAST),
    )


def _last(query: CheckQuery, decision: Decision) -> bytes:
    members = orjson.dumps(concluded(query, decision))[1:]
    return b"," + members if len(members) > 1 else members
