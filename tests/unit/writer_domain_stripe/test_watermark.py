"""Whatever the order, the copies and the clocks, what is held in the end is what Stripe holds."""

from bisect import bisect_right
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from common.clock import SECOND, Instant
from writer.domain.stripe.watermark import NOTHING_HELD, Verdict, Watermark


@dataclass
class Copy:
    """Our copy of one object, kept by the rules that the applier follows. Times are milliseconds."""

    changed_at: list[int]
    held: int | None = None
    mark: Watermark = NOTHING_HELD
    fetches: int = 0
    states: list[int] = field(default_factory=list)

    def deliver(self, state: int, now: int, skew: int) -> None:
        """An event arrives that carries the object as it was in `state`; Stripe's `Date` is `skew` off."""
        created = _second(self.changed_at[state])
        verdict = self.mark.event(created)
        if verdict is Verdict.NEWER:
            self.held, self.mark = state, self.mark.after_event(created)
        elif verdict is Verdict.UNCLEAR:
            self.fetches += 1
            self.held = bisect_right(self.changed_at, now) - 1
            self.mark = self.mark.after_fetch(_second(now + skew))
        self.states.append(-1 if self.held is None else self.held)


def _second(millis: int) -> Instant:
    return Instant((millis // 1_000) * SECOND)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int, int]]]:
    """When the object changed, and (state, arrival, skew) of each delivery in order of arrival; every state arrives."""
    gaps = draw(st.lists(st.sampled_from([1, 3, 200, 900, 1_000, 1_999, 2_000, 2_500, 60_000]), min_size=1, max_size=8))
    changed = [1_000_000 + sum(gaps[: n + 1]) for n in range(len(gaps))]
    states = [*range(len(changed)), *draw(st.lists(st.integers(0, len(changed) - 1), max_size=6))]
    late = st.sampled_from([0, 5, 400, 1_000, 1_700, 2_100, 5_000, 90_000])
    sent = [(state, changed[state] + draw(late), draw(st.integers(-999, 999))) for state in states]
    return changed, sorted(sent, key=lambda one: one[1])


@settings(max_examples=500, deadline=None)
@given(deliveries())
def test_any_order_ends_in_the_last_state(told: tuple[list[int], list[tuple[int, int, int]]]) -> None:
    """Once every event has arrived, late, twice or backwards, nothing but the last state is held."""
    changed, sent = told
    copy = Copy(changed)
    for state, arrival, skew in sent:
        copy.deliver(state, arrival, skew)
    assert copy.held == len(changed) - 1
    assert copy.states == sorted(copy.states), "an older state took a newer one's place"


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(6)))
def test_events_seconds_apart_cost_no_fetch(order: list[int]) -> None:
    """Where Stripe's seconds tell the order, Stripe is never asked, whatever comes first."""
    copy = Copy([1_000 * second for second in range(6)])
    for state in order:
        copy.deliver(state, 3_600_000, 0)
    assert (copy.held, copy.fetches) == (5, 0)


@given(st.integers(0, 10), st.integers(0, 10), st.integers(0, 10))
def test_what_was_applied_is_not_news_again(event: int, fetch: int, later: int) -> None:
    """An event or a fetch that was applied is never newer than what it made, nor is anything before it."""
    mark = NOTHING_HELD.after_event(_second(1_000 * event)).after_fetch(_second(1_000 * fetch))
    for second in range(min(event, fetch) + 1):
        assert mark.event(_second(1_000 * second)) is not Verdict.NEWER
    newer = Watermark(mark.event_created, mark.fetched_at).after_event(_second(1_000 * (event + later)))
    assert newer.event(_second(1_000 * (event + later))) is not Verdict.NEWER
