"""Intake: a parsed event, however it reached us, is stored once, and its object handed to the pipeline."""

from typing import Protocol

from writer.domain.stripe.event import Event, Ignored
from writer.inbox import Inbox, Origin, Stored


class Hand(Protocol):
    """Takes over the object of a committed event: the pipeline of this process."""

    def hand(self, object_id: str, *, awaited: bool = True) -> None:
        """Work on the object soon, sooner where somebody waits. It never blocks; polling finds what is left."""
        ...


class Trace(Protocol):
    """Leaves a trace of a seen event for people to look at."""

    def leave(self, event: Event) -> None:
        """Try to, in the background; it decides nothing and its failure never matters."""
        ...


class Intake:
    """Decides what is ours to apply, stores it, and has it worked on."""

    def __init__(self, inbox: Inbox, pipeline: Hand, trace: Trace, *, livemode: bool) -> None:
        self._inbox = inbox
        self._pipeline = pipeline
        self._trace = trace
        self._livemode = livemode

    def ignored(self, event: Event) -> Ignored | None:
        """Why the event is kept and not applied; None: it is applied."""
        return event.ignored(livemode=self._livemode)

    async def take(self, event: Event, body: bytes, origin: Origin) -> Stored:
        """Commit the event, then hand its object on where that is new. Raises one of DATABASE_FAULTS."""
        stored = await self._inbox.store(event, body, origin, self.ignored(event))
        self._trace.leave(event)
        if stored is Stored.PENDING and event.object_id is not None:
            # What a sweep finds is late already: it lets those pass who pay just now.
            self._pipeline.hand(event.object_id, awaited=event.awaited and origin is not Origin.SWEEP)
        return stored
