"""Ages and what they mean."""

from common.clock import SECOND, Instant
from common.position import Position
from sidecar.freshness import Freshness, StalePolicy, State

POLICY = StalePolicy(stale_after=5.0, max_stale=60.0)


def test_before_a_load_the_age_is_infinite() -> None:
    """Nothing loaded is older than anything."""
    assert Freshness(POLICY).age(1.0) == float("inf")
    assert Freshness(POLICY).state(1.0) is State.TOO_OLD


def test_a_load_that_nobody_vouched_for_is_stale_at_once() -> None:
    """A copy from Redis alone is stale until the first heartbeat that it has reached."""
    freshness = Freshness(POLICY)
    freshness.loaded(100.0)
    assert freshness.age(101.0) == 1.0
    assert freshness.state(100.0) is State.STALE
    freshness.heard(Position(1, 3), 102.0)
    freshness.reached(Position(1, 3))
    assert freshness.state(102.0) is State.FRESH
    assert freshness.age(103.5) == 1.5


def test_a_heartbeat_counts_from_when_it_was_heard_once_its_head_is_reached() -> None:
    """The age counts from the newest heartbeat whose head the copy has, not from the newest heartbeat."""
    freshness = Freshness(POLICY)
    freshness.confirmed(10.0)
    freshness.heard(Position(1, 5), 11.0)
    freshness.heard(Position(1, 9), 12.0)
    freshness.reached(Position(1, 4))
    assert freshness.age(13.0) == 3.0
    freshness.reached(Position(1, 6))
    assert freshness.age(13.0) == 2.0
    freshness.reached(Position(1, 9))
    assert freshness.age(13.0) == 1.0


def test_a_head_that_always_runs_ahead_still_counts_in_the_end() -> None:
    """Under constant load, when each heartbeat is ahead of the copy, earlier ones are reached and count."""
    freshness = Freshness(POLICY)
    freshness.confirmed(0.0)
    for second in range(1, 500):
        freshness.heard(Position(1, second * 10), float(second))
        freshness.reached(Position(1, second * 10 - 5))
    assert freshness.age(499.0) == 1.0


def test_a_given_up_lineage_confirms_nothing() -> None:
    """A heartbeat of an older epoch does not make a copy of a newer epoch look current."""
    freshness = Freshness(POLICY)
    freshness.confirmed(0.0)
    freshness.heard(Position(1, 100), 5.0)
    freshness.reached(Position(2, 1))
    assert freshness.age(6.0) == 6.0


def test_ages_have_three_states() -> None:
    """Fresh to the bound, stale to the next, too old beyond."""
    freshness = Freshness(POLICY)
    freshness.confirmed(0.0)
    assert [freshness.state(at) for at in (5.0, 5.1, 60.0, 60.1)] == [
        State.FRESH,
        State.STALE,
        State.STALE,
        State.TOO_OLD,
    ]


def test_without_a_bound_a_copy_is_never_too_old() -> None:
    """SIDECAR_MAX_STALE unset: answers go on, however old."""
    freshness = Freshness(StalePolicy())
    freshness.confirmed(0.0)
    assert freshness.state(1e9) is State.STALE


def test_an_age_is_never_negative() -> None:
    """A confirmation from a moment ahead of the asked one has age 0."""
    freshness = Freshness(POLICY)
    freshness.confirmed(10.0)
    freshness.confirmed(9.0)
    assert freshness.age(9.5) == 0.0


def test_the_difference_of_the_clocks_is_noted() -> None:
    """Our clock 2.5 s ahead of the writer's reads 2.5."""
    freshness = Freshness(POLICY)
    assert freshness.clock_difference is None
    freshness.compare_clocks(Instant(10 * SECOND), Instant(12 * SECOND + SECOND // 2))
    assert freshness.clock_difference == 2.5


def test_clocks_that_are_apart_are_told_once_and_once_more_when_they_agree() -> None:
    """Two seconds are let pass; a few messages that come late are no clock that is ahead."""
    freshness = Freshness(POLICY)
    late = [freshness.compare_clocks(Instant(0), Instant(seconds * SECOND)) for seconds in (9, 9, 1, 9, 9, 9, 9)]
    assert (any(late), freshness.clocks_differ, freshness.clock_difference) == (False, False, 1.0)
    ahead = [freshness.compare_clocks(Instant(0), Instant(3 * SECOND)) for _ in range(6)]
    assert (ahead.count(True), freshness.clocks_differ, freshness.clock_difference) == (1, True, 3.0)
    assert freshness.compare_clocks(Instant(0), Instant(0))
    assert not freshness.clocks_differ


def test_a_clock_that_is_behind_is_told_too() -> None:
    """Grants would end too late."""
    freshness = Freshness(POLICY)
    for _ in range(5):
        freshness.compare_clocks(Instant(5 * SECOND), Instant(2 * SECOND))
    assert freshness.clocks_differ
