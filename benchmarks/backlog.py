"""Backlog: thousands of events found waiting in the inbox, or arriving faster than they are applied."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from benchmarks import subscribers
from benchmarks.figures import Chapter, Figure
from benchmarks.ledger import Ledger, counted
from benchmarks.sending import Sender
from benchmarks.subscribers import Pattern, Sent
from common.settings import Secret
from sandbox.propagation import percentile
from sandbox.stack import Stack
from writer.db.engine import create_engine
from writer.domain.stripe.event import parse_event
from writer.inbox import Inbox, Origin
from writer.settings import DatabaseSettings

DUPLICATED: Final = 0.3
SEED: Final = 7
_TOGETHER: Final = 64


@dataclass(frozen=True, slots=True)
class Size:
    """How much: `subscriptions` with five events each."""

    subscriptions: int = 2_000

    @property
    def events(self) -> int:
        """How many events that makes."""
        return self.subscriptions * subscribers.VERSIONS


@dataclass(frozen=True, slots=True)
class _Work:
    """What a run came to."""

    seconds: float
    fetches: float
    revisions: int
    outcomes: dict[str, int]

    def figures(self, name: str, events: int, named: str = "") -> list[Figure]:
        """The run's rows."""
        applied = self.outcomes.get("applied", 0)
        return [
            Figure(f"{name}: until all is applied", self.seconds, "s", named and f"{named}.seconds"),
            Figure(f"{name}: events per second", events / self.seconds),
            Figure(f"{name}: states applied", applied),
            Figure(f"{name}: revisions", self.revisions),
            Figure(f"{name}: fetches from Stripe", self.fetches, "", named and f"{named}.fetches"),
        ]


async def measure(stack: Stack, size: Size | None = None) -> Chapter:
    """Three runs on the same writer, each with subscribers of its own."""
    size = size or Size()
    pattern = await Pattern.drawn(stack, stack.apps["notes"])
    ledger = await Ledger.opened(stack)
    try:
        figures = [
            *await _waiting(stack, ledger, pattern, size),
            *await _arriving(stack, ledger, pattern, size, run="b", name="arriving in order"),
            *await _arriving(stack, ledger, pattern, size, run="c", name="arriving in disorder", duplicated=DUPLICATED),
        ]
    finally:
        await ledger.close()
    return Chapter(
        "Backlog",
        f"{size.events:,} events of {size.subscriptions:,} subscriptions, one writer. *Waiting*: committed by a writer "
        "that died; from the start of the next one's process. *Arriving*: over HTTP, as fast as they are acknowledged, "
        f"from the first; *in disorder*: shuffled, and {DUPLICATED:.0%} of them twice.",
        figures,
    )


async def _waiting(stack: Stack, ledger: Ledger, pattern: Pattern, size: Size) -> list[Figure]:
    await ledger.until_settled()
    before = await ledger.revisions(), await ledger.outcomes()
    await stack.kill("writer")
    await _store(stack, subscribers.in_order(pattern.subscribers("a", size.subscriptions)))
    began = time.perf_counter()
    await stack.restart("writer")
    ended = await ledger.until_settled()
    work = await _work(stack, ledger, ended - began, before, fetched=0)  # a new process counts from nothing
    await ledger.expect_subscribers("a", size.subscriptions, leaving=False)
    return work.figures("waiting", size.events, "backlog")


async def _store(stack: Stack, events: list[Sent]) -> None:
    """Commit events as a writer does whose claim on them has ended with it."""
    engine = create_engine(DatabaseSettings(Secret(stack.postgres.url), None, 2, 30, 10, 30))
    inbox = Inbox(engine, "gone", claim=0)
    try:
        for first in range(0, len(events), _TOGETHER):
            batch = events[first : first + _TOGETHER]
            stored = [inbox.store(parse_event(orjson.loads(e.body)), e.body, Origin.WEBHOOK, None) for e in batch]
            await asyncio.gather(*stored)
    finally:
        await engine.dispose()


async def _arriving(
    stack: Stack, ledger: Ledger, pattern: Pattern, size: Size, *, run: str, name: str, duplicated: float = 0.0
) -> list[Figure]:
    events = subscribers.in_order(pattern.subscribers(run, size.subscriptions))
    sent = subscribers.in_disorder(events, duplicated, SEED) if duplicated else events
    before = await ledger.revisions(), await ledger.outcomes()
    fetched = await counted(stack, "billing_apply_fetches")
    sender = Sender(stack.writer_url, stack.keyring.webhook, stack.session)
    began = time.perf_counter()
    await sender.flood(event.body for event in sent)
    acknowledged = time.perf_counter() - began
    ended = await ledger.until_settled()
    work = await _work(stack, ledger, ended - began, before, fetched)
    await ledger.expect_subscribers(run, size.subscriptions, leaving=False)
    return [
        *work.figures(name, len(sent)),
        Figure(f"{name}: until all are acknowledged", acknowledged, "s"),
        Figure(f"{name}: acknowledged, p99", percentile(sender.seconds, 99) * 1000, "ms"),
    ]


async def _work(
    stack: Stack, ledger: Ledger, seconds: float, before: tuple[int, Mapping[str, int]], fetched: float
) -> _Work:
    revisions, outcomes = before
    now = await ledger.outcomes()
    return _Work(
        seconds,
        await counted(stack, "billing_apply_fetches") - fetched,
        await ledger.revisions() - revisions,
        {status: number - outcomes.get(status, 0) for status, number in now.items()},
    )
