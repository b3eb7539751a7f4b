"""The replica inside a Python app: the sidecar's own parts and guarantees, without HTTP.

`async with Replica.open("notes", redis_url=…, writer_url=…, api_key=…) as replica: replica.check(user, feature)`
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any, Final, Self

from common import document as documents
from common.answers import CheckQuery, parse_check, parse_min_revision, parse_user
from common.catalogue import Kind
from common.clock import Clock, Instant, to_datetime
from common.decision import Decision, decide, remaining
from common.identifiers import FeatureCode
from common.position import NOWHERE
from sidecar.answering import Answerer
from sidecar.app import following
from sidecar.check import Judged, Moment, Unanswered, check, check_unknown
from sidecar.pages import hash_of
from sidecar.project import Project
from sidecar.quick_decision import bounds, by_grants
from sidecar.replica import Copy
from sidecar.settings import Settings
from sidecar.typed import Check
from sidecar.view import View

_native: ModuleType | None
try:
    from sidecar import _native
except ImportError:  # there was no compiler
    _native = None

_REMEMBERED: Final = 65_536
"""Decisions that are kept at hand."""

_MOST_GRANTS: Final = 4_096
_ENDLESS: Final = 2**63 - 1
"""The end of a run without one, as the native part has it."""

_Remembered = tuple[object, int, bytes, int, int, Decision, Any]
"""Era, hash, page, since and until (microseconds), the decision, and its end as a datetime."""


class NotSyncedError(Exception):
    """Neither Redis nor the writer could be read in time."""


class Replica:
    """One project's copy in this process. Used from the event loop's thread."""

    def __init__(self, project: Project, answerer: Answerer, clock: Clock) -> None:
        self._project = project
        self._answerer = answerer
        self._view = View(project)
        self._now = clock.now
        self._monotonic = clock.monotonic
        self._remembered: dict[tuple[str, str], _Remembered] = {}
        self._era: object = None
        self._by_grants: dict[tuple[str, bytes], tuple[Decision, bool]] = {}
        """By feature and the text of a run's grants, in this era."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        project: str,
        *,
        redis_url: str | None = None,
        writer_url: str | None = None,
        api_key: str | None = None,
        wait: float = 10.0,
        settings: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Self]:
        """Follow a project; entered once it is loaded, for which `wait` seconds are given.

        `settings` are further ones of the sidecar's, by their names, such as `SIDECAR_MAX_STALE`.

        Raises:
            SettingsError: with every fault.
            NotSyncedError: nothing could be loaded in time.
        """
        given = {"REDIS_URL": redis_url, "WRITER_URL": writer_url, "SIDECAR_API_KEY": api_key}
        told = {**(settings or {}), "SIDECAR_PROJECT": project, **{k: v for k, v in given.items() if v is not None}}
        async with following(Settings.from_mapping(told)) as followed:
            (one,) = followed.projects.values()
            if not one.replica.synced and not await one.arrivals.wait(NOWHERE, wait):
                raise NotSyncedError(f"project {project} could not be loaded within {wait:g} s; the log says why")
            yield cls(one, followed.answerer, followed.clock)

    def check(self, user: str, feature: str, *, used: int | None = None) -> Check:
        """May the user use the feature? From memory alone.

        While the copy is not known to be complete, a user whom it does not hold is judged by the stale policy; `ask`
        asks the writer.

        Raises:
            Problem: the user or the feature is not of its form.
        """
        copy, now, monotonic = _loaded(self._project), self._now(), self._monotonic()
        view = self._view
        if used is not None or view.current(monotonic) is None:
            return self._judge(_query(user, feature, used), copy, Moment(now, monotonic))
        found = self._remembered.get((user, feature))
        if found is None or not self._holds(found, copy, now):
            found = self._tell(user, feature, copy, now)
            if found is None:
                query = _query(user, feature, None)
                found = self._remember(query, copy, now)
                if found is None:
                    return self._judge(query, copy, Moment(now, monotonic))
        decision, standing = found[5], view.standing
        return Check(
            decision.allowed,
            user,
            self._project.id,
            feature,
            decision.reason,
            decision.value,
            decision.source,
            found[6],
            decision.unlocked_by,
            standing.position.epoch,
            standing.position.revision,
            standing.age_ms,
            standing.stale,
        )

    async def ask(self, user: str, feature: str, *, used: int | None = None, min_revision: str | None = None) -> Check:
        """As the sidecar answers: wait, bounded, for `min_revision`; ask the writer for what the copy may lack."""
        wanted = None if min_revision is None else parse_min_revision(min_revision)
        query = replace(_query(user, feature, used), min_revision=wanted)
        return _typed(query, self._project, await self._answerer.check(self._project, query))

    def entitlements(self, user: str) -> dict[str, Any]:
        """The user's document, in the public shape; without entitlements where the copy holds none."""
        copy = _loaded(self._project)
        document = copy.document(parse_user(user))
        return {"entitlements": []} if document is None else documents.to_json(document)

    @property
    def token(self) -> str:
        """Where the copy stands, `epoch.revision`."""
        return _loaded(self._project).position.token

    def _tell(self, user: str, feature: str, copy: Copy, now: Instant) -> _Remembered | None:
        """The most common decision, of a plain feature and somebody with one run of rows; else None."""
        if _native is None:
            return None
        if self._era is not self._view.era:
            self._era = self._view.era
            self._by_grants.clear()
        name, pages = user.encode(errors="surrogatepass"), copy.records.pages
        held = _native.held(pages.pages, name)
        if held is None:
            return None
        granted, since, until = held
        known = self._by_grants.get((feature, granted)) or self._learn(feature, granted, copy)
        if known is None or not since <= now < until:
            return None
        decision, ends = known
        hashed = hash_of(name)
        valid_to = to_datetime(until) if ends and until != _ENDLESS else None
        return self._keep(
            user, feature, (self._era, hashed, pages.pages[pages.place(hashed)], since, until, decision, valid_to)
        )

    def _learn(self, feature: str, granted: bytes, copy: Copy) -> tuple[Decision, bool] | None:
        known = copy.catalogue.features.get(FeatureCode(feature))
        found = None if known is None or known.kind is not Kind.PLAIN else by_grants(known.code, granted, copy)
        if found is not None:
            if len(self._by_grants) >= _MOST_GRANTS:
                self._by_grants.clear()
            self._by_grants[feature, granted] = found
        return found

    def _holds(self, found: _Remembered, copy: Copy, now: Instant) -> bool:
        era, hashed, page, since, until, _, _ = found
        pages = copy.records.pages
        return since <= now < until and era is self._view.era and pages.pages[pages.place(hashed)] is page

    def _remember(self, query: CheckQuery, copy: Copy, now: Instant) -> _Remembered | None:
        rows = copy.rows(query.user, query.feature)
        if rows is None and not copy.complete:
            return None
        hashed = hash_of(query.user.encode())
        page = copy.records.pages.pages[copy.records.pages.place(hashed)]
        decision = decide(rows or (), query.feature, copy.catalogue, now)
        valid_to = None if decision.valid_to is None else to_datetime(decision.valid_to)
        found = self._view.era, hashed, page, *bounds(rows or (), now), decision, valid_to
        return self._keep(query.user, query.feature, found)

    def _keep(self, user: str, feature: str, found: _Remembered) -> _Remembered:
        if len(self._remembered) >= _REMEMBERED:
            self._remembered.clear()
        self._remembered[user, feature] = found
        return found

    def _judge(self, query: CheckQuery, copy: Copy, now: Moment) -> Check:
        freshness = self._project.freshness
        outcome = check(query, copy, freshness, now)
        judged = check_unknown(query, copy, freshness, now) if isinstance(outcome, Unanswered) else outcome
        return _typed(query, self._project, judged)


def _query(user: str, feature: str, used: int | None) -> CheckQuery:
    return parse_check(user, feature, None if used is None else str(used))


def _loaded(project: Project) -> Copy:
    copy = project.replica.copy
    if copy is None:
        raise NotSyncedError(project.id)  # not after `open`
    return copy


def _typed(query: CheckQuery, project: Project, judged: Judged) -> Check:
    decision, standing = judged.decision, judged.standing
    return Check(
        decision.allowed,
        query.user,
        project.id,
        query.feature,
        decision.reason,
        decision.value,
        decision.source,
        None if decision.valid_to is None else to_datetime(decision.valid_to),
        decision.unlocked_by,
        standing.position.epoch,
        standing.position.revision,
        standing.age_ms,
        standing.stale,
        standing.behind,
        None if query.used is None else remaining(decision, query.used),
    )
