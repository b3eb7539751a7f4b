"""Which of two states of one Stripe object is newer, as far as Stripe's clocks, in whole seconds, can tell."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from common.clock import SECOND, Instant, parse_time

SKEW: Final = 2 * SECOND
"""How far an event's `created` and a response's `Date` may lie apart and still leave the order open."""


CLOSED: Final = parse_time("9999-12-30T00:00:00Z")
"""What an object is as of, of which nothing is to be heard any more: later than anything."""


class Verdict(StrEnum):
    """What a state is, compared with what is held."""

    NEWER = "newer"
    OLDER = "older"
    UNCLEAR = "unclear"
    """Only a fetch, begun after the held state was read, can tell."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """How current our copy of one object is: `created` of the newest event applied, `Date` of the newest fetch.

    Both are whole seconds; the microseconds of `fetched_at` only count further fetches in its second.
    """

    event_created: Instant | None = None
    fetched_at: Instant | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing that Stripe says of the object counts any more: its user was erased."""
        return self.fetched_at is not None and self.fetched_at >= CLOSED

    def event(self, created: Instant) -> Verdict:
        """What the payload of an event of `created` is."""
        if self.event_created is not None and created < self.event_created:
            return Verdict.OLDER
        fetched = None if self.fetched_at is None else _second(self.fetched_at)
        if fetched is not None and created < fetched - SKEW:
            return Verdict.OLDER
        if created == self.event_created or (fetched is not None and created <= fetched + SKEW):
            return Verdict.UNCLEAR
        return Verdict.NEWER

    def fetch(self, as_of: Instant) -> Verdict:
        """What an object is that somebody fetched as of `as_of`."""
        moments = [_second(held) for held in (self.event_created, self.fetched_at) if held is not None]
        if not moments or as_of > max(moments) + SKEW:
            return Verdict.NEWER
        return Verdict.OLDER if as_of < max(moments) - SKEW else Verdict.UNCLEAR

    def after_event(self, created: Instant) -> "Watermark":
        """Once an event's payload was applied."""
        held = self.event_created
        return Watermark(created if held is None else max(held, created), self.fetched_at)

    def after_fetch(self, as_of: Instant) -> "Watermark":
        """Once a fetched object was applied. It always differs, so that whoever fetched meanwhile notices."""
        if self.fetched_at is not None and as_of <= self.fetched_at:
            return Watermark(self.event_created, Instant(self.fetched_at + 1))
        return Watermark(self.event_created, as_of)


NOTHING_HELD: Final = Watermark()


def _second(instant: Instant) -> Instant:
    return Instant(instant - instant % SECOND)
