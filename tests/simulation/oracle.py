"""The oracle: what must always hold (docs/architecture.md), looked at after each step and at each write at Redis."""

from typing import Any, Final

from common.answers import CheckQuery
from common.decision import decide
from common.identifiers import ProjectId
from sidecar.check import Judged, Moment, Unanswered, check
from sidecar.project import Project
from sidecar.replica import Copy
from tests.simulation.loop import VirtualLoop
from tests.simulation.sidecar_process import SidecarProcess
from tests.simulation.trace import Trace
from tests.simulation.truth import Histories, Truth

BOUND_SECONDS: Final = 1.0
"""By how much an age may be too small: a heartbeat says what was committed when its writer looked, and takes its way.

Whoever is stopped, or whatever is held back, adds the time for which that lasts.
"""
_LOOKS_BACK: Final = 15.0


class ViolationError(AssertionError):
    """An invariant does not hold."""


class Oracle:
    """Knows what is true, and looks at what others believe."""

    def __init__(self, loop: VirtualLoop, trace: Trace) -> None:
        self.histories = Histories()
        self.disturbed: list[list[float]] = []
        """From when to when something was stopped or held back."""
        self.answers = 0
        self._loop = loop
        self._trace = trace

    @property
    def now(self) -> float:
        """Seconds of the world."""
        return self._loop.now

    def watch(self, sidecar: SidecarProcess) -> None:
        """Look at a sidecar after each of its steps."""
        seen: dict[ProjectId, _Seen] = {}

        def look() -> None:
            if sidecar.followed is None:
                return
            for name, project in sidecar.followed.projects.items():
                before, copy = seen.get(name), project.replica.copy
                if copy is None:
                    if before is not None:
                        self.fail(f"{sidecar.process} lost its copy of {name} [8]")
                elif before is None or before.copy is not copy or before.moves != copy.moves:
                    self._look(sidecar, name, copy, before)
                    seen[name] = _Seen(copy)
                else:
                    before.complete = copy.complete

        sidecar.process.observer = look

    def fail(self, what: str) -> None:
        """Something does not hold: the run ends."""
        self._trace("VIOLATION", what)
        self._loop.fail(ViolationError(what))

    def _look(self, sidecar: SidecarProcess, name: ProjectId, copy: Copy, before: "_Seen | None") -> None:
        who = f"{sidecar.process}/{name}"
        history = self.histories.of[name]
        position = copy.position
        self._trace("copy", who, position.token, copy.proof.value, before is None or before.copy is not copy)
        truths = history.truths.get(position)
        if truths is None:
            self.fail(f"{who} stands at {position.token}, which was never committed [6]")
            return
        if before is not None and position < before.position:
            self.fail(f"{who} went back from {before.position.token} to {position.token} [7]")
        if before is not None and before.complete and not copy.complete:
            if before.copy is not copy:
                self.fail(f"{who} gave up a proven copy at {before.position.token} for one that is not [7]")
            elif len(truths) == 1 and holds(copy, truths[0]):
                self.fail(f"{who} takes its copy at {position.token} for wrong, and it is right [6]")
        if not copy.complete:
            return
        if not any((t.count, t.digest) == (copy.count, copy.digest) for t in truths):
            self.fail(f"{who} takes itself for complete at {position.token} and differs from Postgres there [6]")
        elif before is None or before.copy is not copy or not before.complete:
            self._compare_whole(who, copy, truths)

    def _compare_whole(self, who: str, copy: Copy, truths: list[Truth]) -> None:
        if not any(holds(copy, truth) for truth in truths):
            self.fail(f"{who} at {copy.position.token} holds other documents than Postgres, with their digest [6]")

    def check_answer(self, sidecar: SidecarProcess, project: Project, query: CheckQuery) -> None:
        """Ask a sidecar's memory, and judge what it says."""
        copy = project.replica.copy
        now = Moment(sidecar.clock.now(), sidecar.clock.monotonic())
        outcome = check(query, copy, project.freshness, now)
        if copy is None:
            return
        self.answers += 1
        who = f"{sidecar.process}/{project.id}"
        if isinstance(outcome, Unanswered):
            if copy.complete:
                self.fail(f"{who} is complete and does not answer by itself [10]")
            return
        if not copy.complete and query.user not in copy.records:
            self.fail(f"{who} is not complete and answers for somebody whom it does not hold [10]")
        if not outcome.standing.stale:
            self._check_age(who, project.id, outcome)
        if copy.complete:
            self._check_decision(who, copy, query, outcome, now)

    def check_given(self, project: ProjectId, query: CheckQuery, judged: Judged, asked_at: float, who: str) -> None:
        """Judge an answer for which the writer may have been asked: one that is not stale is true of some moment."""
        if judged.standing.stale:
            return
        since = asked_at - judged.standing.age_ms / 1000 - self.bound(asked_at - judged.standing.age_ms / 1000)
        truths = self.histories.of[project].heads_since(since)
        now = self._loop.wall(self._loop.world)
        said = (judged.decision.allowed, judged.decision.reason)
        if not any(_decided(query, truth, now) == said for truth in truths):
            self.fail(f"{who} answers {said} for {query.user}, which was not so at any moment that it can mean [6]")

    def bound(self, claimed: float) -> float:
        """By how much an age may be too small that claims a state of this time."""
        since, now = claimed - _LOOKS_BACK, self._loop.now
        return BOUND_SECONDS + sum(max(0.0, min(end, now) - max(begin, since)) for begin, end in self.disturbed)

    def _check_age(self, who: str, project: ProjectId, judged: Judged) -> None:
        standing = judged.standing
        claimed = self._loop.now - standing.age_ms / 1000
        # A restore may have taken back what was committed: then what was before it is true again.
        oldest = min(one.position for one in self.histories.of[project].heads_since(claimed - self.bound(claimed)))
        if oldest > standing.position:
            self.fail(
                f"{who} says that {standing.position.token} was current {standing.age_ms} ms ago; "
                f"{oldest.token} was committed before that [9]"
            )

    def _check_decision(self, who: str, copy: Copy, query: CheckQuery, judged: Judged, now: Moment) -> None:
        truths = self.histories.of[copy.project].truths[copy.position]
        said = (judged.decision.allowed, judged.decision.reason)
        if not any(_decided(query, truth, now.wall) == said for truth in truths):
            self.fail(f"{who} answers {said} for {query.user} at {copy.position.token}, Postgres differs [10]")


class _Seen:
    __slots__ = ("complete", "copy", "moves", "position")

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.moves = copy.moves
        self.position = copy.position
        self.complete = copy.complete


def holds(copy: Copy, truth: Truth) -> bool:
    """Whether a copy holds exactly these documents."""
    if set(copy.records) != set(truth.documents):
        return False
    for user, document in truth.documents.items():
        held = copy.document(user)
        if held is None or (held.revision, held.entitlements) != (document.revision, document.entitlements):
            return False
    return dict(copy.catalogue.features) == dict(truth.features)


def _decided(query: CheckQuery, truth: Truth, now: Any) -> tuple[bool, Any]:
    document = truth.documents.get(query.user)
    rows = () if document is None else document.entitlements
    catalogue: Any = _Features(truth)
    decision = decide(rows, query.feature, catalogue, now)
    return decision.allowed, decision.reason


class _Features:
    """As much of a catalogue as a decision reads."""

    def __init__(self, truth: Truth) -> None:
        self.features = truth.features
        self.unlocked_by: dict[str, Any] = {}
