"""The table that a season ends with."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from tests.chaos.season import TOGETHER, Outcome

_SHOWN: Final = 30


def table(outcome: Outcome) -> str:
    """Faults, answers, staleness, recovery, and what was wrong."""
    return "\n".join([*_faults(outcome), "", *_figures(outcome), "", *_violations(outcome)])


def _faults(outcome: Outcome) -> Iterator[str]:
    yield f"{'fault':<34}{'times':>6}  {'whole again: median':>19}  {'worst':>8}  {'oldest answer':>13}"
    for name in sorted(outcome.faults):
        took = outcome.recoveries[name]
        oldest = max(
            (old for names, old in outcome.observed.staleness.items() if name in names.split(TOGETHER)), default=0.0
        )
        yield _row(name, outcome.faults[name], took, oldest)
    every = [seconds for took in outcome.recoveries.values() for seconds in took]
    if every:
        yield _row("all", outcome.faults.total(), every, outcome.observed.longest)


def _row(name: str, times: int, took: Sequence[float], oldest: float) -> str:
    return f"{name:<34}{times:>6}  {median(took):>17.2f} s  {max(took):>6.2f} s  {oldest:>11.2f} s"


def _figures(outcome: Outcome) -> Iterator[str]:
    seen = outcome.observed
    yield f"seed {outcome.seed}, {outcome.seconds:.0f} s, rounds with more than one fault: {outcome.pairs}"
    yield f"acts of billing life: {outcome.acts}; revisions: {outcome.revisions}; events acknowledged: {outcome.events}"
    yield f"restores: {outcome.restores}; events that went with the older database: {outcome.lost_by_restore}"
    per_second = seen.asked / outcome.seconds if outcome.seconds else 0.0
    yield (
        f"answers checked: {seen.checked} of {seen.asked} asked ({per_second:.0f} a second); stale, and said so: "
        f"{seen.stale}; of users whom an unproven copy lacked: {seen.unsure}"
    )
    yield (
        f"no answer, the process was dead: {seen.excused}; not loaded yet: {seen.not_ready}; "
        f"later than 1 s: {seen.slow} (the slowest: {seen.slowest:.2f} s)"
    )
    yield (
        f"longest staleness: {seen.longest_fresh:.2f} s called fresh, {seen.longest:.2f} s at all; "
        f"an age was understated by {seen.understated:.2f} s at most ({seen.beyond:.2f} s more than messages were held)"
    )
    yield f"a stopped lease holder was replaced after: {_seconds(outcome.takeovers)}"
    if outcome.rolled is not None:
        rolled = outcome.rolled
        yield (
            f"writers restarted in turn under load: {rolled.events} events, {rolled.per_second:.0f} a second, "
            f"{rolled.refused} attempts refused, {len(rolled.violations)} lost; the longest pause of propagation: "
            f"{rolled.longest_pause:.2f} s"
        )


def _seconds(values: Sequence[float]) -> str:
    return (
        f"{median(values):.2f} s (median), {max(values):.2f} s (worst of {len(values)})"
        if values
        else "none was stopped"
    )


def _violations(outcome: Outcome) -> Iterator[str]:
    kinds = ", ".join(f"{kind}: {count}" for kind, count in outcome.observed.kinds.items())
    yield f"violations: {len(outcome.violations)}" + (f" ({kinds})" if kinds else "")
    yield from (f"  {one}" for one in outcome.violations[:_SHOWN])
