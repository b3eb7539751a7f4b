"""Worlds one after another, and what they came to together."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.simulation.breaks import BREAKS
from tests.simulation.plan import Fault, Plan, idle, plan, refilling
from tests.simulation.world import Outcome, World

_SHOWN: Final = 60
_BETWEEN_COLLECTIONS: Final = 20
_WORLDS: Final = {"trust_an_empty_log": idle, "refill_without_its_token": refilling}
"""In which worlds a break is looked for that seldom meets what shows it elsewhere."""


@dataclass(slots=True)
class Total:
    """Figures of many worlds."""

    seeds: int = 0
    seconds: float = 0.0
    steps: int = 0
    revisions: int = 0
    answers: int = 0
    slowest: float = 0.0
    """Seconds of the slowest recovery, from the first heartbeat after the faults on."""
    faults: Counter[Fault] = field(default_factory=Counter)
    failures: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one in."""
        self.seeds += 1
        self.seconds += outcome.seconds
        self.steps += outcome.steps
        self.revisions += outcome.revisions
        self.answers += outcome.answers
        self.slowest = max(self.slowest, outcome.recovery)
        self.faults.update(outcome.faults)
        if outcome.violation is not None:
            self.failures.append(outcome.plan.seed)

    def summary(self, seconds: float) -> str:
        """The last line."""
        faults = " ".join(f"{fault.value}={self.faults[fault]}" for fault in Fault)
        failures = ",".join(map(str, self.failures)) or "none"
        return (
            f"seeds={self.seeds} simulated_hours={self.seconds / 3600:.2f} steps={self.steps} "
            f"revisions={self.revisions} answers={self.answers} slowest_recovery={self.slowest:.2f}s "
            f"faults={self.faults.total()} {faults} seconds={seconds:.0f} failures={failures}"
        )


def outcomes(seeds: Iterable[int], planned: Callable[[int], Plan] = plan) -> Iterator[Outcome]:
    """Each seed's world, lived."""
    with _collecting_between():
        for number, seed in enumerate(seeds):
            yield World(planned(seed)).run()
            if number % _BETWEEN_COLLECTIONS == 0:
                gc.collect()


def told(outcome: Outcome, broken: str | None = None) -> str:
    """What does not hold, how it came to it, and how to see it again."""
    again = f"python -m tests.simulation --seed {outcome.plan.seed}" + (f" --break {broken}" if broken else "")
    return "\n".join([*outcome.trace[-_SHOWN:], f"seed {outcome.plan.seed}: {outcome.violation}", f"again: {again}"])


def caught(name: str, seeds: Iterable[int]) -> Outcome | None:
    """The first of the worlds in which a break is noticed; None where none notices it."""
    with pytest.MonkeyPatch.context() as patch:
        BREAKS[name](patch)
        return next((outcome for outcome in outcomes(seeds, _planned(name)) if outcome.violation is not None), None)


def unbroken(name: str, seed: int) -> Outcome:
    """The world in which a break is looked for, without it."""
    return World(_planned(name)(seed)).run()


def _planned(name: str) -> Callable[[int], Plan]:
    return _WORLDS.get(name, plan)


@contextmanager
def _collecting_between() -> Iterator[None]:
    # A world is one big knot of objects that lives for a fifth of a second: looking for garbage in it is in vain.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def prove(first: int, seeds: int, broken: str | None, total: Total) -> Iterator[str]:
    """Lines to print: each failure, and last the summary of `total`, also where it is ended early."""
    began = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        if broken is not None:
            BREAKS[broken](patch)
        try:
            for outcome in outcomes(range(first, first + seeds)):
                total.add(outcome)
                if outcome.violation is not None:
                    yield told(outcome, broken)
                    if broken is not None:
                        break
        except KeyboardInterrupt:
            yield "interrupted"
        yield total.summary(time.monotonic() - began)
