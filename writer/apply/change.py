"""One object's new state, read and checked, with all it needs fetched: ready to be written under its lock."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from writer.domain.stripe.ownership import Unassigned
from writer.outbox import Revision


@dataclass(frozen=True, slots=True)
class Written:
    """What writing came to."""

    revisions: list[Revision] = field(default_factory=list)
    unassigned: Unassigned | None = None
    """It is ours by price, and grants nothing to anybody."""
    skipped: str | None = None
    """Why it concerns nobody of ours; None: it does."""
    revised: bool = False
    """A catalogue got a new version."""


Follow = Callable[[], Awaitable[list[Revision]]]


@dataclass(frozen=True, slots=True)
class Change:
    """A state to write. `links` are the objects that it is linked by: locked together with its own."""

    links: frozenset[str]
    write: Callable[[AsyncConnection], Awaitable[Written]]
    follow: Follow | None = None
    """What else must come true once it is committed, found by comparing states, so that it can be repeated."""


def nothing(reason: str) -> Change:
    """A state that concerns nobody."""

    async def write(_: AsyncConnection) -> Written:
        return Written(skipped=reason)

    return Change(frozenset(), write)
