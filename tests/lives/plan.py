"""A plan: all that is to happen in a town and to its webhooks, as plain data that can be printed and cut down."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

TOWN: Final = "town"
"""Whose the acts are that concern everybody: what the shops sell."""


class Fault(StrEnum):
    """What is done to webhooks, writers and Stripe."""

    DROPPED = "dropped"
    """Never delivered; only Stripe's event list knows it."""
    DUPLICATED = "duplicated"
    DELAYED = "delayed"
    """Over one or more moves of the clock."""
    FORGED = "forged"
    """Delivered with a wrong signature first."""
    BROKEN = "broken"
    """A signed event of an object that nobody can read."""
    KILLED = "killed"
    """A writer, by SIGKILL, at whatever it was doing."""
    OUTAGE = "outage"
    """Stripe's API: away, slow, refusing by rate, or cut off."""


class Finder(StrEnum):
    """What finds the events that were never delivered."""

    SWEEP = "sweep"
    """The sweep, when the town's time asks for it."""
    WRITERS = "writers"
    """The writers' own polling, in which they are killed."""
    RECONCILE = "reconcile"
    """A reconcile run, and the event list is never read."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens at a tick. `who` is a life, or the town; `details` are the act's own arguments."""

    tick: int
    who: str
    what: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """As an expression that makes it again."""
        return f"Act({self.tick}, {self.who!r}, {self.what!r}, {dict(self.details)!r})"


@dataclass(frozen=True, slots=True)
class Rates:
    """How often an event suffers each fault, 0 to 1; and how often another shape than the endpoint's is sent."""

    dropped: float = 0.05
    duplicated: float = 0.10
    delayed: float = 0.10
    forged: float = 0.01
    thin: float = 0.08
    other_version: float = 0.15


CALM: Final = Rates(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """A town's time. After the acts of each tick its webhooks are sent, and the clock moves by the tick's gap.

    Seconds; `settings` are the stand-in's, `outages` Stripe's by tick, `kills` ticks at which a writer dies,
    `checks` ticks after which everything is brought in and judged (the last one always is).
    """

    seed: int
    gaps: tuple[int, ...]
    acts: tuple[Act, ...]
    rates: Rates = Rates()
    kills: frozenset[int] = frozenset()
    outages: Mapping[int, str] = field(default_factory=dict)
    broken: frozenset[int] = frozenset()
    checks: frozenset[int] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    """The endpoint's API version; None: drawn, and changed now and then."""
    finder: Finder = Finder.SWEEP

    @property
    def lives(self) -> list[str]:
        """Whose lives it tells."""
        return list(dict.fromkeys(act.who for act in self.acts if act.who != TOWN))

    def at(self, tick: int) -> list[Act]:
        """What happens at a tick, in order."""
        return [act for act in self.acts if act.tick == tick]

    def only(self, keep: Callable[[Act], bool]) -> "Plan":
        """The same time with fewer acts."""
        return replace(self, acts=tuple(filter(keep, self.acts)))

    def of(self, *lives: str) -> "Plan":
        """The same town with these lives only."""
        return self.only(lambda act: act.who == TOWN or act.who in lives)

    def __str__(self) -> str:
        """As an expression that makes it again."""
        acts = "".join(f"        {act},\n" for act in self.acts)
        names = ("rates", "kills", "outages", "broken", "checks", "settings", "version")
        rest = ", ".join([f"{name}={getattr(self, name)!r}" for name in names] + [f"finder=Finder.{self.finder.name}"])
        return f"Plan(\n    seed={self.seed},\n    gaps={self.gaps},\n    acts=(\n{acts}    ),\n    {rest},\n)"
