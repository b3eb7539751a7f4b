"""From a question to an answer, waiting and asking the writer where that is needed. Every protocol face asks here."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final, assert_never

from common import document as documents
from common.answers import CheckQuery, check_answer
from common.catalogue import Feature
from common.clock import Clock
from common.document import Document
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import Position
from common.problems import Problem, bad_request
from sidecar.asking import Asker
from sidecar.check import Judged, Moment, Unanswered, check, check_document, check_unknown, say_behind, standing
from sidecar.project import Project
from sidecar.replica import Copy
from sidecar.sources import SourceError

MIN_REVISION_SECONDS: Final = 2.0
"""How long an answer may wait for `min_revision`; propagation takes milliseconds, so this is a fault, not a queue."""


class Answerer:
    """Answers for all projects of this process."""

    def __init__(self, projects: Mapping[ProjectId, Project], asker: Asker, clock: Clock) -> None:
        self._projects = projects
        self._asker = asker
        self._clock = clock
        self._only = next(iter(projects.values())) if len(projects) == 1 else None

    def project(self, name: str | None) -> Project:
        """The project that is asked about; Problem 400 `project_required`, 404 `unknown_project`."""
        allowed = sorted(self._projects)
        if not name:
            if self._only is not None:
                return self._only
            raise bad_request("project_required", f"project_id is missing; this sidecar holds {', '.join(allowed)}")
        project = self._projects.get(ProjectId(name))
        if project is None:
            detail = f"this sidecar does not hold that project; it holds {', '.join(allowed)}"
            raise Problem(HTTPStatus.NOT_FOUND, "unknown_project", detail, projects=allowed)
        return project

    def features(self, project: Project) -> Mapping[FeatureCode, Feature]:
        """The project's features as the copy has them now; Problem 503 `not_synced` before the first load."""
        return _copy(project).catalogue.features

    async def check(self, project: Project, query: CheckQuery) -> Judged:
        """Answer one question; Problem 503 `not_synced` before the first load."""
        if query.min_revision is not None and not await self._arrived(project, query.min_revision):
            return await self._check_behind(project, query)
        outcome = self.check_now(project, query)
        if not isinstance(outcome, Unanswered):
            return outcome
        match outcome:
            case Unanswered.NOT_SYNCED:
                raise _not_synced(project)
            case Unanswered.ASK_ORIGIN:
                return await self._ask(project, query)
            case _:
                assert_never(outcome)

    def check_now(self, project: Project, query: CheckQuery) -> Judged | Unanswered:
        """Answer from memory alone, without waiting for anything."""
        return check(query, project.replica.copy, project.freshness, self._now())

    async def check_many(
        self, project: Project, queries: Sequence[CheckQuery], min_revision: Position | None
    ) -> tuple[Position, Sequence[Judged]]:
        """Answer all at one revision of the copy, which is told beside them."""
        behind = min_revision is not None and not await self._arrived(project, min_revision)
        copy = _copy(project)
        lacking = {q.user for q in queries if behind or (not copy.complete and q.user not in copy.records)}
        given = dict(zip(lacking, await asyncio.gather(*[self._given(project, u) for u in lacking]), strict=True))
        copy, now = _copy(project), self._now()
        judged = [self._judge(project, copy, query, given.get(query.user), now, behind=behind) for query in queries]
        at = copy.position
        return at, [replace(j, standing=replace(j.standing, position=at)) for j in judged]

    async def entitlements(self, project: Project, user: UserId, min_revision: Position | None) -> dict[str, Any]:
        """The user's document, as the writer gives it, with `age_ms` and `stale` of the copy, and `behind` if it is."""
        behind = min_revision is not None and not await self._arrived(project, min_revision)
        copy = _copy(project)
        document = None if behind else copy.document(user)
        given = await self._given(project, user) if document is None and (behind or not copy.complete) else None
        if given is not None:
            return {**documents.to_json(given), "age_ms": 0, "stale": False}
        copy = _copy(project)
        document = copy.document(user) or _empty(copy, user, self._now())
        state = standing(copy, project.freshness, self._now())
        unsure = behind or (not copy.complete and not document.entitlements)
        answer = {**documents.to_json(document), "age_ms": state.age_ms, "stale": state.stale or unsure}
        return {**answer, "behind": True} if behind else answer

    def render(self, project: Project, query: CheckQuery, judged: Judged) -> dict[str, Any]:
        """The answer in its public shape."""
        return check_answer(query, project.id, judged.decision, judged.standing)

    async def _arrived(self, project: Project, wanted: Position) -> bool:
        position = _copy(project).position
        return position >= wanted or await project.arrivals.wait(wanted, MIN_REVISION_SECONDS)

    async def _check_behind(self, project: Project, query: CheckQuery) -> Judged:
        given = await self._given(project, query.user)
        return self._judge(project, _copy(project), query, given, self._now(), behind=True)

    async def _ask(self, project: Project, query: CheckQuery) -> Judged:
        given = await self._given(project, query.user)
        return self._judge(project, _copy(project), query, given, self._now(), behind=False)

    async def _given(self, project: Project, user: UserId) -> Document | None:
        try:
            return await self._asker.ask(project.id, user)
        except SourceError:
            return None  # counted where it was asked; the answer says that it is stale

    def _judge(
        self, project: Project, copy: Copy, query: CheckQuery, given: Document | None, now: Moment, *, behind: bool
    ) -> Judged:
        if given is not None:  # the writer's own word is never behind
            return check_document(query, given, copy, now)
        outcome = check(query, copy, project.freshness, now)
        judged = check_unknown(query, copy, project.freshness, now) if isinstance(outcome, Unanswered) else outcome
        return say_behind(judged) if behind else judged

    def _now(self) -> Moment:
        return Moment(self._clock.now(), self._clock.monotonic())


def _copy(project: Project) -> Copy:
    copy = project.replica.copy
    if copy is None:
        raise _not_synced(project)
    return copy


def _not_synced(project: Project) -> Problem:
    detail = f"project {project.id} is not loaded yet: neither Redis nor the writer could be read so far"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_synced", detail, headers={"Retry-After": "1"})


def _empty(copy: Copy, user: UserId, now: Moment) -> Document:
    return Document(user, copy.project, *copy.position, now.wall, ())
