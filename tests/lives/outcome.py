"""What a plan came to when it was played."""

from collections import Counter
from dataclasses import dataclass, field

from tests.lives.compare import Difference
from tests.lives.plan import Fault


@dataclass(slots=True)
class Outcome:
    """Counts, and what differs; those of several plans add up."""

    lives: int = 0
    events: int = 0
    delivered: int = 0
    remembered: int = 0
    """Documents of past moments that the history was asked for."""
    faults: Counter[Fault] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Count another plan's outcome in."""
        self.lives += other.lives
        self.events += other.events
        self.delivered += other.delivered
        self.remembered += other.remembered
        self.faults += other.faults
        self.done += other.done
        self.refused += other.refused
        self.differences += other.differences
