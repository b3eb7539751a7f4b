"""From a question and a copy to an answer."""

import pytest

from common.answers import CheckQuery, parse_check
from common.catalogue import Kind, OnStale
from common.clock import Instant
from common.decision import Reason
from common.position import Position
from sidecar.check import Judged, Moment, Unanswered, check, check_document, check_unknown, say_behind
from sidecar.freshness import Freshness, StalePolicy
from sidecar.replica import Copy
from tests.support.history import START, History, feature, grant

NOW = Moment(Instant(START + 1_000_000), 100.0)


def ask(user: str = "ann", code: str = "pro") -> CheckQuery:
    """A question."""
    return parse_check(user, code)


def fresh(at: float = 100.0, **policy: object) -> Freshness:
    """Known to be current at `at`."""
    freshness = Freshness(StalePolicy(**policy))  # type: ignore[arg-type]
    freshness.confirmed(at)
    return freshness


def copy_of(history: History, *, complete: bool = True) -> Copy:
    """A copy at the history's head."""
    copy = Copy(history.project, history.catalogue, history.position)
    for document in history.documents.values():
        copy.hold(document)
    if complete:
        copy.compare(history.position, history.count, history.digest)
    return copy


@pytest.fixture
def history() -> History:
    """Ann has pro for life."""
    history = History()
    history.change("ann", grant())
    return history


def judged(outcome: Judged | Unanswered) -> Judged:
    """What was judged; anything else fails the test."""
    assert isinstance(outcome, Judged)
    return outcome


def test_no_copy_no_answer() -> None:
    """Before the first load there is no answer."""
    assert check(ask(), None, Freshness(StalePolicy()), NOW) is Unanswered.NOT_SYNCED


def test_a_hit_is_answered_with_where_the_copy_stands(history: History) -> None:
    """A granted feature is allowed, and the answer names position, age and staleness."""
    answer = judged(check(ask(), copy_of(history), fresh(99.5), NOW))
    assert answer.decision.allowed
    assert answer.standing.position == history.position
    assert answer.standing.age_ms == 500
    assert not answer.standing.stale


def test_a_miss_in_a_complete_copy_is_an_answer(history: History) -> None:
    """A stranger has the catalogue's defaults and nothing else, with no question to the writer."""
    copy = copy_of(history)
    assert judged(check(ask("bob"), copy, fresh(), NOW)).decision.reason is Reason.NOT_GRANTED
    assert judged(check(ask("bob"), copy, fresh(), NOW)).decision.unlocked_by == ("price_pro",)
    assert judged(check(ask("bob", "free"), copy, fresh(), NOW)).decision.source == "default"
    assert judged(check(ask("bob", "nope"), copy, fresh(), NOW)).decision.reason is Reason.UNKNOWN_FEATURE


def test_a_miss_in_an_incomplete_copy_is_the_writers_to_answer(history: History) -> None:
    """A hit is answered locally, a miss is not."""
    copy = copy_of(history, complete=False)
    assert judged(check(ask(), copy, fresh(), NOW)).decision.allowed
    assert check(ask("bob"), copy, fresh(), NOW) is Unanswered.ASK_ORIGIN


def test_a_stale_copy_goes_on_answering_and_says_so(history: History) -> None:
    """Beyond SIDECAR_STALE_AFTER the answer is the same, marked stale."""
    answer = judged(check(ask(), copy_of(history), fresh(90.0), NOW))
    assert answer.decision.allowed
    assert answer.standing.stale
    assert answer.standing.age_ms == 10_000


@pytest.mark.parametrize(
    ("policy", "user", "allowed", "reason"),
    [
        (OnStale.SERVE, "ann", True, Reason.GRANTED),
        (OnStale.SERVE, "bob", False, Reason.NOT_GRANTED),
        (OnStale.DENY, "ann", False, Reason.STALE_DENIED),
        (OnStale.DENY, "bob", False, Reason.STALE_DENIED),
        (OnStale.ALLOW, "ann", True, Reason.STALE_ALLOWED),
        (OnStale.ALLOW, "bob", True, Reason.STALE_ALLOWED),
    ],
)
def test_a_copy_that_is_too_old_follows_the_policy(
    history: History, policy: OnStale, user: str, allowed: bool, reason: Reason
) -> None:
    """Beyond SIDECAR_MAX_STALE the process's policy answers."""
    freshness = fresh(10.0, max_stale=60.0, on_stale=policy)
    answer = judged(check(ask(user), copy_of(history), freshness, NOW))
    assert (answer.decision.allowed, answer.decision.reason) == (allowed, reason)
    assert answer.standing.stale


def test_a_features_own_policy_wins() -> None:
    """`on_stale` of the feature overrules the process's, and an unknown feature stays unknown."""
    history = History(features=(feature("pro", on_stale=OnStale.ALLOW), feature("seats", Kind.LIMIT)))
    history.change("ann", grant("seats", 5))
    freshness = fresh(10.0, max_stale=60.0, on_stale=OnStale.DENY)
    copy = copy_of(history)
    assert judged(check(ask("ann", "pro"), copy, freshness, NOW)).decision.reason is Reason.STALE_ALLOWED
    assert judged(check(ask("ann", "seats"), copy, freshness, NOW)).decision.reason is Reason.STALE_DENIED
    assert judged(check(ask("ann", "nope"), copy, freshness, NOW)).decision.reason is Reason.UNKNOWN_FEATURE


def test_stale_allowed_keeps_what_is_known_of_a_limit() -> None:
    """A limit that is held keeps its value when the policy allows."""
    history = History()
    history.change("ann", grant("seats", 5))
    freshness = fresh(10.0, max_stale=60.0, on_stale=OnStale.ALLOW)
    assert judged(check(ask("ann", "seats"), copy_of(history), freshness, NOW)).decision.value == 5


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (OnStale.SERVE, Reason.NOT_GRANTED),
        (OnStale.DENY, Reason.STALE_DENIED),
        (OnStale.ALLOW, Reason.STALE_ALLOWED),
    ],
)
def test_when_nobody_can_be_asked_the_policy_decides(history: History, policy: OnStale, reason: Reason) -> None:
    """A user whom the copy may lack gets the policy's answer, always marked stale."""
    copy = copy_of(history, complete=False)
    answer = check_unknown(ask("bob"), copy, fresh(on_stale=policy), NOW)
    assert answer.decision.reason is reason
    assert answer.standing.stale


def test_the_writers_document_is_judged_with_our_catalogue(history: History) -> None:
    """An answer from the writer is current, and names the newer of both positions."""
    copy = copy_of(history, complete=False)
    document = history.change("bob", grant()).document
    answer = check_document(ask("bob"), document, copy, NOW)
    assert answer.decision.allowed
    assert answer.standing.position == Position(1, 3)
    assert (answer.standing.age_ms, answer.standing.stale) == (0, False)


def test_an_answer_behind_says_so(history: History) -> None:
    """`behind` comes with `stale`."""
    answer = say_behind(judged(check(ask(), copy_of(history), fresh(), NOW)))
    assert answer.standing.behind
    assert answer.standing.stale


def test_time_is_judged_when_answering() -> None:
    """A grant that ends between two questions is gone at the second, with no change in between."""
    history = History()
    history.change("ann", grant(valid_to=START + 10))
    copy = copy_of(history)
    before, after = Moment(Instant(START + 9), 100.0), Moment(Instant(START + 10), 100.0)
    assert judged(check(ask(), copy, fresh(), before)).decision.allowed
    assert judged(check(ask(), copy, fresh(), after)).decision.reason is Reason.EXPIRED
