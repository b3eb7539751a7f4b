"""What the fast lane remembers of a question: the decision as bytes, and for how long it holds.

The most common question, of a plain feature and a user with one run of rows, is decided here from the packed record's
bytes by the same rule as `common.decision` has, and written into forms that `common.answers` made. All others are
decided there. Of those forms the native part of the lane makes whole answers (`native/answer.h`).
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from yarl import URL

from common.answers import CheckQuery, concluded, decided, parse_check
from common.catalogue import Kind
from common.clock import Instant, format_time
from common.decision import Decision, Reason, decide
from common.document import Entitlement
from common.identifiers import MAX_USER_ID, FeatureCode, ProjectId, UserId
from common.problems import Problem
from sidecar.check_counts import Cell, CheckCounts
from sidecar.pages import find, hash_of
from sidecar.project import Project
from sidecar.records import granted_by, only_run
from sidecar.replica import Copy
from sidecar.view import View

PATH: Final = "/api/v1/check"
_USER: Final = b"user_id="
_PLAIN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~:@-"
"""What stands in a query as itself, in every reading of it."""

_ASKED: Final = re.compile(rb"([A-Za-z0-9_.-]{1,64})(?:&project_id=([A-Za-z0-9_.-]{1,64}))?")
_ANY_QUERY: Final = re.compile(rb"[A-Za-z0-9_.~:@%+&=,!*();/?$-]+")
_FIRST: Final = -(2**63)
_LAST: Final = 2**63
"""Before and after every moment, in microseconds."""

_MOST_ASKED: Final = 4_096
_MOST_FORMS: Final = 4_096


class Form(NamedTuple):
    """A decision around its user and its end, for as long as the view's era lasts.

    The native part reads the first four members by their places.
    """

    before: bytes
    """What stands before the user."""
    between: bytes
    """… between user and end; all that follows the user where there is no end."""
    after: bytes
    """… between the end and the view's members; empty where there is no end, which also tells so."""
    last: bytes
    """… behind those."""
    view: View
    era: object
    cell: Cell
    """Where it is counted."""


class Decided(msgspec.Struct, gc=False):
    """The decision on one query, and for how long it holds. Never part of a cycle: the collector need not know it."""

    query: bytes
    form: Form
    hashed: int
    page: bytes
    since: int
    until: int
    """Microseconds; before `until`."""
    first: bytes
    """An answer's members before the view's."""


Forms = dict[bytes | None, Form | None]
"""By the text of a run's grants: the form while they hold, or of who lacks the feature; None: neither. By None the form
of who holds nothing, once it is known that nobody is lacking."""


class _Asked:
    """A feature of a project, as queries name it, and the forms of its answers."""

    __slots__ = ("code", "era", "granted", "missing", "plain", "view")

    def __init__(self, view: View, code: FeatureCode) -> None:
        self.view = view
        self.code = code
        self.era: object = None
        self.granted: Forms = {}
        self.begin()

    def begin(self) -> None:
        """Another era: nothing that was made before may be used any more."""
        self.era = self.view.era
        self.plain = False
        copy = self.view.copy
        if copy is not None:
            known = copy.catalogue.features.get(self.code)
            self.plain = known is not None and known.kind is Kind.PLAIN
        self.granted.clear()
        self.missing: Form | None = None


class Decisions:
    """Decides for all projects of the process."""

    def __init__(self, projects: Mapping[ProjectId, Project], counts: CheckCounts) -> None:
        self._counts = counts
        self._views: dict[bytes | None, View] = {name.encode(): View(one) for name, one in projects.items()}
        if len(projects) == 1:
            self._views[None] = next(iter(self._views.values()))
        self._asked: dict[bytes, _Asked] = {}
        self.held: dict[bytes, tuple[list[Any], Forms]] = {}
        """What the view saw, and forms, by what of a query follows `&feature=`: for the native part of the lane. What
        it makes of them may be used while the view holds, and the form is of the view's era."""

    def decide(self, text: bytes, now: Instant, began: float) -> Decided | None:
        """The decision on a query string; None where it is not one that can be decided here and now.

        `now`: wall time; `began`: monotonic seconds.
        """
        named, _, told = text.partition(b"&feature=")
        asked = self._asked.get(told) or self._ask(told)
        user = named[len(_USER) :]
        if asked is not None and named.startswith(_USER) and 1 <= len(user) <= MAX_USER_ID:
            found = None if user.translate(None, _PLAIN) else self._decide_plain(text, asked, user, now, began)
            if found is not None:
                return found
        return self._decide_any(text, now, began)

    def _decide_plain(self, text: bytes, asked: _Asked, user: bytes, now: Instant, began: float) -> Decided | None:
        """The decision where the record's only run tells it, or where there is no record; else None."""
        view = asked.view
        copy = view.current(began)
        if asked.era is not view.era:
            asked.begin()
        if copy is None or not asked.plain:
            return None
        hashed = hash_of(user)
        pages = copy.records.pages
        page = pages.pages[pages.place(hashed)]
        record = find(page, user)
        found = self._found(asked, record, copy)
        if found is None:
            return None
        form, begins, ends = found
        if form is asked.missing:
            return Decided(text, form, hashed, page, _FIRST, _LAST, b"".join((form.before, user, form.between)))
        since, until = int(begins), _LAST if ends == b"null" else int(ends)
        if not since <= now < until:
            return None
        end = ends if until == _LAST else b'"%b"' % format_time(Instant(until)).encode()
        first = b"".join((form.before, user, form.between, end, form.after))
        return Decided(text, form, hashed, page, since, until, first)

    def _found(self, asked: _Asked, record: bytes | None, copy: Copy) -> tuple[Form, bytes, bytes] | None:
        """The form for a user's record, and from when until when it holds, as records say it; None where in doubt."""
        if record is None:
            if not copy.complete:
                return None
            form = asked.granted[None] = asked.missing or self._missing(asked, copy)
            return form, b"", b""
        run = only_run(record)
        if run is None:
            return None
        granted, begins, ends = run
        known = asked.granted.get(granted) or self._form_of(asked, granted, copy)
        return None if known is None else (known, begins, ends)

    def _ask(self, told: bytes) -> _Asked | None:
        """What of a query follows the user; None where it has to be read otherwise."""
        match = _ASKED.fullmatch(told)
        view = None if match is None else self._views.get(match[2])
        if match is None or view is None:
            return None
        if len(self._asked) >= _MOST_ASKED:  # features that do not exist
            self._asked.clear()
            self.held.clear()
        asked = self._asked[told] = _Asked(view, FeatureCode(match[1].decode()))
        self.held[told] = view.seen, asked.granted
        return asked

    def _form_of(self, asked: _Asked, text: bytes, copy: Copy) -> Form | None:
        """The form for who holds the grants of this text; None where the text does not tell."""
        found = by_grants(asked.code, text, copy)
        if found is None:
            return None
        decision, ends = found
        form = self._granted(asked, decision) if ends else asked.missing or self._missing(asked, copy)
        if len(asked.granted) >= _MOST_FORMS:
            asked.granted.clear()
        asked.granted[text] = form
        return form

    def _granted(self, asked: _Asked, decision: Decision) -> Form:
        before, rest, last = _formed(asked, decision)
        between, mark, after = rest.partition(b'"valid_to":')
        cell = self._counts.cell(decision.reason.value)
        return Form(before, between + mark, after.removeprefix(b"null"), last, asked.view, asked.era, cell)

    def _missing(self, asked: _Asked, copy: Copy) -> Form:
        decision = decide((), asked.code, copy.catalogue, Instant(0))
        before, rest, last = _formed(asked, decision)
        cell = self._counts.cell(decision.reason.value)
        asked.missing = Form(before, rest, b"", last, asked.view, asked.era, cell)
        return asked.missing

    def _decide_any(self, text: bytes, now: Instant, began: float) -> Decided | None:
        """The same by the ordinary way, for every question that needs nobody else."""
        try:
            query, named = _question(text)
        except (Problem, ValueError):
            return None
        view = self._views.get(named.encode() if named else None)
        copy = None if view is None else view.current(began)
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
        cell = self._counts.cell(decision.reason.value)
        form = Form(b"", b"", b"", _last(query, decision), view, view.era, cell)
        return Decided(text, form, hashed, page, *bounds(rows or (), now), first)


def by_grants(code: FeatureCode, text: bytes, copy: Copy) -> tuple[Decision, bool] | None:
    """The decision on a plain feature while a record's only run lasts, and whether it ends with the run.

    By the text of the run's grants (`only_run`); None where that does not tell.
    """
    grants = granted_by(text, copy.records.grants)
    if grants is None:
        return None
    sources = [source for feature, source, _ in grants if feature == code]
    if sources:
        return Decision(allowed=True, reason=Reason.GRANTED, source=sources[0]), True
    return decide((), code, copy.catalogue, Instant(0)), False


def _formed(asked: _Asked, decision: Decision) -> tuple[bytes, bytes, bytes]:
    """A decision's bytes before its user and after, and its last members."""
    query = CheckQuery(UserId(""), asked.code)
    first = orjson.dumps(decided(query, asked.view.project.id, decision))[:-1]
    before, mark, rest = first.partition(b'"user_id":"')
    return before + mark, rest, _last(query, decision)


def _question(text: bytes) -> tuple[CheckQuery, str | None]:
    """The question of a query string, and the project that it names; read as aiohttp reads it."""
    if not _ANY_QUERY.fullmatch(text):
        raise ValueError("not a query that is read here")
    told = URL.build(path=PATH, query_string=text.decode(), encoded=True).query
    if "expected" in told:
        raise ValueError("shadow mode counts, too")
    question = parse_check(told.get("user_id"), told.get("feature"), told.get("used"), told.get("min_revision"))
    return question, told.get("project_id")


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
