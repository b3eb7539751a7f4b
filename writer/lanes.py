"""Lanes: which object is worked on when, and by whom. What waits for Stripe has workers of its own.

Quick workers ask Stripe for nothing; an object that turns out to need a fetch moves to the fetching lane. So a Stripe
that hangs, or a rate limit that is reached, holds up nothing but fetches.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from common.clock import Clock
from writer.gateway.fetching import without_fetches

WORKERS: Final = 8
"""A quarter of them is for work that nobody waits for."""
FETCHERS: Final = 16
"""Stripe answers in a few tenths of a second; these keep STRIPE_MAX_RPS busy, and hold no connection meanwhile."""
PATIENCE_SECONDS: Final = 0.1
"""How long work that nobody waits for lets a payer's go first."""
MOST_WAITING: Final = 5_000
"""Objects; beyond them events stay in Postgres until there is room."""
MOST_FETCHING: Final = 1_000
"""Objects that wait for a fetch: some minutes of work. Their claims are renewed meanwhile."""

_AWAITED: Final = ("sub_", "cs_", "re_", "pyr_", "du_", "dp_")
"""What somebody waits for who has just paid or was paid back. Invoices and customers follow."""


class Lanes:
    """Queues of object ids. An object is never in two workers' hands; what is handed in meanwhile comes again."""

    def __init__(
        self, process: Callable[[str], Awaitable[None]], clock: Clock, *, workers: int, fetchers: int = FETCHERS
    ) -> None:
        self._process = process
        self._clock = clock
        self._patient_workers = max(1, workers // 4)
        self._quick_workers = max(1, workers - self._patient_workers)
        self._fetchers = fetchers
        self._urgent: asyncio.Queue[str] = asyncio.Queue()
        self._patient: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        self._fetches: asyncio.PriorityQueue[tuple[bool, int, str]] = asyncio.PriorityQueue()
        self._order = itertools.count()
        self._calm = asyncio.Event()
        self._calm.set()
        self._waiting: set[str] = set()
        self._fetching: set[str] = set()
        self._busy: set[str] = set()
        self._quick: set[str] = set()
        self._again: set[str] = set()
        self._closing = False

    @property
    def waiting(self) -> int:
        """Objects that wait for a quick worker."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """Objects that are worked on."""
        return len(self._busy)

    @property
    def fetching(self) -> frozenset[str]:
        """Objects that wait for a fetch, or are being fetched."""
        return frozenset(self._fetching)

    def jobs(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """The workers, by name, each to be run until it is cancelled."""
        return {
            **{f"pipeline-{n}": self._work for n in range(self._quick_workers)},
            **{f"pipeline-patient-{n}": self._work_patiently for n in range(self._patient_workers)},
            **{f"pipeline-fetch-{n}": self._fetch for n in range(self._fetchers)},
        }

    def hand(self, object_id: str, *, awaited: bool = True) -> None:
        """Work on the object soon; sooner where somebody waits. What finds no room is left to polling."""
        if self._closing:
            return
        if object_id in self._busy or object_id in self._fetching:
            self._again.add(object_id)  # a quick worker could only send it to the fetching lane again
        elif object_id not in self._waiting and len(self._waiting) < MOST_WAITING:
            self._waiting.add(object_id)
            if awaited and object_id.startswith(_AWAITED):
                self._calm.clear()
                self._urgent.put_nowait(object_id)
            else:
                self._patient.put_nowait((self._clock.monotonic(), object_id))

    def fetch(self, object_id: str) -> bool:
        """Move the object to the fetching lane; False where there is no room."""
        if object_id not in self._fetching:
            if self._closing or len(self._fetching) >= MOST_FETCHING:
                return False
            self._fetching.add(object_id)
            self._fetches.put_nowait((not object_id.startswith(_AWAITED), next(self._order), object_id))
        return True

    async def calm(self, at_most: float) -> None:
        """Wait until no payer's work is under way, or for `at_most` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most):
                await self._calm.wait()

    def again(self, object_id: str) -> None:
        """Once the object is out of its worker's hands, work on it again."""
        self._again.add(object_id)

    def close(self) -> None:
        """Take nothing more, and begin nothing more."""
        self._closing = True
        self._waiting.clear()
        queue: asyncio.Queue[str] | asyncio.Queue[tuple[float, str]] | asyncio.PriorityQueue[tuple[bool, int, str]]
        for queue in (self._urgent, self._patient, self._fetches):
            while not queue.empty():
                queue.get_nowait()

    async def _work(self) -> None:
        with without_fetches():
            while True:
                await self._take_quickly(await self._urgent.get())
                if self._urgent.empty() and not any(busy.startswith(_AWAITED) for busy in self._quick):
                    self._calm.set()

    async def _work_patiently(self) -> None:
        """Work on what no payer waits for, while no payer's work is under way; but not for ever later."""
        with without_fetches():
            while True:
                since, object_id = await self._patient.get()
                await self.calm(since + PATIENCE_SECONDS - self._clock.monotonic())
                await self._take_quickly(object_id)

    async def _fetch(self) -> None:
        while True:
            _, _, object_id = await self._fetches.get()
            try:
                await self._take(object_id)
            finally:
                self._fetching.discard(object_id)
                self._hand_again(object_id)

    async def _take_quickly(self, object_id: str) -> None:
        self._waiting.discard(object_id)
        self._quick.add(object_id)
        try:
            await self._take(object_id)
        finally:
            self._quick.discard(object_id)
            self._hand_again(object_id)

    async def _take(self, object_id: str) -> None:
        self._busy.add(object_id)
        try:
            await self._process(object_id)
        finally:
            self._busy.discard(object_id)

    def _hand_again(self, object_id: str) -> None:
        """What was handed in meanwhile waits for the fetch, if there is to be one: it is part of it."""
        if object_id in self._again and object_id not in self._fetching:
            self._again.discard(object_id)
            self.hand(object_id)
