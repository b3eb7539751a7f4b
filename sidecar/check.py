"""From a question and a copy to an answer. Pure: no I/O, no await; every protocol face asks here."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from common.answers import CheckQuery, Standing
from common.catalogue import OnStale
from common.clock import Instant
from common.decision import Decision, Reason, decide
from common.document import Document
from common.identifiers import FeatureCode
from sidecar.freshness import Freshness, StalePolicy, State
from sidecar.replica import Copy


class Unanswered(StrEnum):
    """Why a copy gives no answer by itself."""

    NOT_SYNCED = "not_synced"
    """There is no copy yet."""
    ASK_ORIGIN = "ask_origin"
    """The copy holds nothing of the user, and is not known to be complete: only the writer knows."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision, and what it rests on."""

    decision: Decision
    standing: Standing


@dataclass(frozen=True, slots=True)
class Moment:
    """Now: wall time for validity, monotonic seconds for ages."""

    wall: Instant
    monotonic: float


def check(query: CheckQuery, copy: Copy | None, freshness: Freshness, now: Moment) -> Judged | Unanswered:
    """Answer from the copy alone."""
    if copy is None:
        return Unanswered.NOT_SYNCED
    rows = copy.rows(query.user, query.feature)
    if rows is None and not copy.complete:
        return Unanswered.ASK_ORIGIN
    decision = decide(rows or (), query.feature, copy.catalogue, now.wall)
    state = freshness.state(now.monotonic)
    if state is State.TOO_OLD:
        decision = apply_policy(decision, _policy_of(query.feature, copy, freshness.policy))
    return Judged(decision, _standing(copy, freshness, now, stale=state is not State.FRESH))


def check_unknown(query: CheckQuery, copy: Copy, freshness: Freshness, now: Moment) -> Judged:
    """Answer for a user whom the copy may lack, when nobody can be asked: the stale policy decides."""
    decision = decide((), query.feature, copy.catalogue, now.wall)
    decision = apply_policy(decision, _policy_of(query.feature, copy, freshness.policy))
    return Judged(decision, _standing(copy, freshness, now, stale=True))


def check_document(query: CheckQuery, document: Document, copy: Copy, now: Moment) -> Judged:
    """Answer from a document that the writer has just given."""
    decision = decide(document.entitlements, query.feature, copy.catalogue, now.wall)
    return Judged(decision, Standing(max(copy.position, document.position), age_ms=0, stale=False))


def say_behind(judged: Judged) -> Judged:
    """The same answer, told to be older than what was asked for."""
    return replace(judged, standing=replace(judged.standing, stale=True, behind=True))


def standing(copy: Copy, freshness: Freshness, now: Moment) -> Standing:
    """What any answer from this copy says of it."""
    return _standing(copy, freshness, now, stale=freshness.state(now.monotonic) is not State.FRESH)


def apply_policy(decision: Decision, policy: OnStale) -> Decision:
    """What is answered once a copy is too old; a feature that does not exist stays unknown."""
    if decision.reason is Reason.UNKNOWN_FEATURE:
        return decision
    match policy:
        case OnStale.SERVE:
            return decision
        case OnStale.DENY:
            return Decision(allowed=False, reason=Reason.STALE_DENIED, unlocked_by=decision.unlocked_by)
        case OnStale.ALLOW:
            return replace(decision, allowed=True, reason=Reason.STALE_ALLOWED, unlocked_by=())
        case _:
            assert_never(policy)


def _policy_of(feature: FeatureCode, copy: Copy, policy: StalePolicy) -> OnStale:
    known = copy.catalogue.features.get(feature)
    return policy.on_stale if known is None or known.on_stale is None else known.on_stale


def _standing(copy: Copy, freshness: Freshness, now: Moment, *, stale: bool) -> Standing:
    return Standing(copy.position, int(freshness.age(now.monotonic) * 1000), stale)
