"""What a stream of events tells of one user's answers as they change, and when it has to look again. Pure.

Each `entitlements` event holds the whole state, so that whoever missed one needs only the next.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from common.answers import CheckQuery, concluded, decided
from common.clock import SECOND, Instant, format_time
from common.decision import Decision, Reason
from common.document import Document
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import Position

_REFETCH: Final = {"type": "refetchEvaluation"}


class Cause(StrEnum):
    """Why a state is told."""

    CONNECTED = "connected"
    RESYNC = "resync"
    """After a reconnection, or a load of another lineage: what happened in between is not known one by one."""
    CHANGED = "changed"
    """The user's document or the catalogue changed."""
    TIME = "time"
    """A grant began or ended, or the copy became too old, or young again."""


class Name(StrEnum):
    """Names of events."""

    ENTITLEMENTS = "entitlements"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    MESSAGE = "message"
    """What a listener hears who asks for no name: OpenFeature's clients do."""


class Event(NamedTuple):
    """One event, not yet written."""

    name: Name
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """What one user may do with each feature of the catalogue at one moment."""

    user: UserId
    project: ProjectId
    position: Position
    """Where the copy stood."""
    catalogue: Position
    """Where the catalogue was written."""
    document: Document | None
    """The copy's own; None where it holds nothing of the user."""
    decisions: Mapping[FeatureCode, Decision]
    stale: bool = False
    behind: bool = False

    @property
    def written(self) -> Position | None:
        """Where the user's document was written."""
        return None if self.document is None else self.document.position

    def moments(self) -> Iterator[Instant]:
        """When answers change by themselves, or did."""
        for row in self.document.entitlements if self.document else ():
            yield row.valid_from
            if row.valid_to is not None:
                yield row.valid_to
        for decision in self.decisions.values():
            if decision.valid_to is not None:
                yield decision.valid_to

    def known_at(self, told: Position, now: Instant, apart: float) -> bool:
        """Whether who was told everything at `told` knows all of this; False also where that cannot be said.

        `apart`: seconds between the clocks of writer and sidecar, at the most.
        """
        if self.document is None or told.epoch != self.position.epoch or self.position < told:
            return False
        if max(self.document.position, self.catalogue) > told:
            return False
        since = self.document.computed_at - apart * SECOND  # who was told of it was told later than that
        return not any(since < moment <= now for moment in self.moments())


class Teller:
    """One stream's memory. `ahead`: microseconds before an end at which it is announced."""

    def __init__(self, ahead: int, *, resuming: bool) -> None:
        self._ahead = ahead
        self._resuming = resuming
        self._told: Answers | None = None
        self._announced: dict[FeatureCode, Instant] = {}

    def assume(self, answers: Answers) -> None:
        """The listener knows these already."""
        self._told = answers

    def tell(self, answers: Answers, now: Instant) -> list[Event]:
        """What is new since the last time."""
        before, self._told = self._told, answers
        cause = self._cause(before, answers)
        events = [] if cause is None else [Event(Name.ENTITLEMENTS, _state(answers, cause))]
        events += self._ends(before, answers, now)
        if cause is not None:
            events.append(Event(Name.MESSAGE, _REFETCH))
        return events

    def look_again(self, now: Instant) -> Instant | None:
        """When time alone will make something new; None: never."""
        told = self._told
        if told is None:
            return None
        moments = set(told.moments())
        moments |= {Instant(d.valid_to - self._ahead) for d in told.decisions.values() if d.valid_to is not None}
        return min((moment for moment in moments if moment > now), default=None)

    def _cause(self, before: Answers | None, answers: Answers) -> Cause | None:
        if before is None:
            return Cause.RESYNC if self._resuming else Cause.CONNECTED
        if before.position.epoch != answers.position.epoch:
            return Cause.RESYNC
        if before.written != answers.written:
            return Cause.CHANGED
        if before.decisions == answers.decisions:
            return None
        return Cause.CHANGED if before.catalogue != answers.catalogue else Cause.TIME

    def _ends(self, before: Answers | None, answers: Answers, now: Instant) -> Iterator[Event]:
        for code, decision in answers.decisions.items():
            held = before is not None and code in before.decisions and before.decisions[code].allowed
            if held and decision.reason is Reason.EXPIRED:
                yield Event(Name.EXPIRED, _end(answers, code, decision))
            end = decision.valid_to
            if not decision.allowed or end is None or end - self._ahead > now:
                self._announced.pop(code, None)
            elif self._announced.get(code) != end:
                self._announced[code] = end
                yield Event(Name.EXPIRING, _end(answers, code, decision))


def _state(answers: Answers, cause: Cause) -> dict[str, Any]:
    state: dict[str, Any] = {
        "user_id": answers.user,
        "project_id": answers.project,
        "cause": cause.value,
        "epoch": answers.position.epoch,
        "revision": answers.position.revision,
        "stale": answers.stale,
        "features": {code: _feature(answers, code, decision) for code, decision in answers.decisions.items()},
    }
    return {**state, "behind": True} if answers.behind else state


def _feature(answers: Answers, code: FeatureCode, decision: Decision) -> dict[str, Any]:
    query = CheckQuery(answers.user, code)
    answer = {**decided(query, answers.project, decision), **concluded(query, decision)}
    return {name: value for name, value in answer.items() if name not in {"user_id", "project_id", "feature"}}


def _end(answers: Answers, code: FeatureCode, decision: Decision) -> dict[str, Any]:
    return {
        "user_id": answers.user,
        "project_id": answers.project,
        "feature": code,
        "source": decision.source,
        "valid_to": None if decision.valid_to is None else format_time(decision.valid_to),
        "epoch": answers.position.epoch,
        "revision": answers.position.revision,
    }
