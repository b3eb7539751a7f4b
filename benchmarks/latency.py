"""Latency: from a webhook's receipt at the writer until an app's own sidecar answers differently.

A question is always waiting at the sidecar for the next revision (`min_revision`); each answer tells which revision
it was given at. The moments of receipt are the writer's own notes, read from its changes afterwards. All by one clock.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from benchmarks import subscribers
from benchmarks.figures import Chapter, Figure
from benchmarks.sending import Sender
from benchmarks.subscribers import Pattern, Sent
from sandbox.propagation import percentile
from sandbox.stack import RunningApp, Stack

PER_SECOND: Final = 100.0
_REST_SECONDS: Final = 0.03
_CATCH_UP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much: single changes at rest, then a stream of five events for each of so many subscriptions."""

    at_rest: int = 200
    streamed: int = 600


@dataclass(slots=True)
class _Watch:
    """When each revision was first seen in an answer of the sidecar (Unix seconds)."""

    app: RunningApp
    epoch: int = 0
    first: int = 0
    seen: int = 0
    at: dict[int, float] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Keep asking while the block runs."""
        answer = await self.app.sidecar.check("nobody", "export")
        self.epoch, self.first, self.seen = answer["epoch"], answer["revision"], answer["revision"]
        task = asyncio.create_task(self._ask(), name="watch")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _ask(self) -> None:
        while True:
            answer = await self.app.sidecar.check("nobody", "export", f"{self.epoch}.{self.seen + 1}")
            now, reached = time.time(), answer["revision"]
            self.at.update(dict.fromkeys(range(self.seen + 1, reached + 1), now))
            self.seen = max(self.seen, reached)

    async def reached(self, revision: int) -> None:
        """Wait until an answer was given at `revision`; TimeoutError."""
        async with asyncio.timeout(_CATCH_UP_SECONDS):
            while self.seen < revision:  # noqa: ASYNC110 - the watching task has no reader to tell
                await asyncio.sleep(0.001)

    async def latencies(self) -> list[float]:
        """Milliseconds of every change seen, from its receipt."""
        found: list[float] = []
        after = self.first
        while messages := await self.app.writer.changes(self.epoch, after):
            after = messages[-1]["revision"]
            for message in messages:
                if message["op"] == "user" and message["received_at"] and message["revision"] in self.at:
                    received = datetime.fromisoformat(message["received_at"]).timestamp()
                    found.append((self.at[message["revision"]] - received) * 1000)
        return found


async def measure(stack: Stack, size: Size | None = None) -> Chapter:
    """At rest, then in a stream."""
    size = size or Size()
    app = stack.apps["notes"]
    pattern = await Pattern.drawn(stack, app)
    sender = Sender(stack.writer_url, stack.keyring.webhook, stack.session)
    rest = await _at_rest(app, sender, [one[0] for one in pattern.subscribers("r", size.at_rest, versions=1)])
    sender.seconds.clear()
    stream = await _streamed(app, sender, subscribers.in_order(pattern.subscribers("s", size.streamed)))
    return Chapter(
        "Webhook received → sidecar answers differently",
        f"At rest: {size.at_rest} first purchases, one after the other. Stream: {PER_SECOND:.0f} events a second, each "
        f"of which changes a document, {size.streamed * subscribers.VERSIONS:,} in all.",
        [
            *_figures("at rest", rest, "latency.rest"),
            *_figures(f"at {PER_SECOND:.0f} a second", stream, "latency.stream"),
            Figure("webhook acknowledged under load, p50", percentile(sender.seconds, 50) * 1000, "ms"),
            Figure("webhook acknowledged under load, p99", percentile(sender.seconds, 99) * 1000, "ms"),
        ],
    )


async def _at_rest(app: RunningApp, sender: Sender, events: list[Sent]) -> list[float]:
    watch = _Watch(app)
    async with watch.watching():
        for event in events:
            await asyncio.sleep(_REST_SECONDS)
            following = watch.seen + 1
            await sender.send(event.body)
            await watch.reached(following)
    last = await app.sidecar.check(events[-1].user, "export")
    if not last["allowed"]:
        raise AssertionError(f"the last payer is not allowed: {last}")
    return await watch.latencies()


async def _streamed(app: RunningApp, sender: Sender, events: list[Sent]) -> list[float]:
    watch = _Watch(app)
    async with watch.watching():
        await sender.pace((event.body for event in events), PER_SECOND)
        await _quiet(watch)
    return await watch.latencies()


async def _quiet(watch: _Watch) -> None:
    """Wait until nothing new has been seen for a while."""
    before = -1
    while watch.seen != before:
        before = watch.seen
        await asyncio.sleep(1)


def _figures(name: str, values: list[float], named: str) -> list[Figure]:
    return [
        Figure(f"{name}, changes seen", len(values)),
        *(
            Figure(f"{name}, p{percent}", percentile(values, percent), "ms", f"{named}_p{percent}")
            for percent in (50, 95, 99)
        ),
    ]
