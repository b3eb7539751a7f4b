"""Finders: by which part of the writer what was never delivered is found, one of them in each town."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol, assert_never

from tests.lives.account import Json
from tests.lives.plan import Finder
from tests.lives.quiet import Quiet
from tests.lives.sweeper import Sweeper
from tests.lives.town import Town
from tests.lives.writer_api import WriterApi
from tests.support.waiting import eventually

_PATIENCE_S: Final = 120
_POLL_S: Final = 0.05
_HURRY: Final = 40

SETTINGS: Final[Mapping[Finder, Mapping[str, str]]] = {
    Finder.SWEEP: {},
    Finder.WRITERS: {"STRIPE_POLL": "1s"},
    Finder.RECONCILE: {},
}
"""The writers' own, by finder."""


class Finding(Protocol):
    """Finds what was dropped."""

    async def begin(self) -> None:
        """Before the first event."""
        ...

    async def keep_up(self, lost: Sequence[Json]) -> None:
        """Stripe's event list, which reaches back thirty days, is about to forget."""
        ...

    async def find(self, lost: Sequence[Json]) -> None:
        """Have all of it found, while nothing else is under way."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What finders work with."""

    town: Town
    api: WriterApi
    database: Any
    sweeper: Sweeper
    quiet: Quiet
    hand: Callable[[Sequence[Json]], Awaitable[None]]
    """Delivers events after all."""
    interrupt: Callable[[], Awaitable[None]]
    """Kills a writer soon, where the plan is not a calm one."""


class BySweep:
    """The sweep, run beside the writers on their lease and cursor, when the town's time asks for it."""

    def __init__(self, means: Means) -> None:
        self._sweeper = means.sweeper
        self._quiet = means.quiet

    async def begin(self) -> None:
        """As every writer does when it starts: from here on nothing that is dropped is missed."""
        await self._sweeper.sweep()

    async def keep_up(self, lost: Sequence[Json]) -> None:
        """Sweep."""
        await self._sweeper.sweep()

    async def find(self, lost: Sequence[Json]) -> None:
        """Sweep, and see that nothing is missing."""
        await self._sweeper.sweep()
        missing = await self._quiet.unknown(lost)
        if missing:
            raise AssertionError(f"the sweep did not find {len(missing)} of {len(lost)} dropped events: {missing[:5]}")


class ByWriters:
    """The writers themselves, which poll the event list each second, and die while they read it."""

    def __init__(self, means: Means) -> None:
        self._database = means.database
        self._quiet = means.quiet

    async def begin(self) -> None:
        """Wait until they have begun: an account that was never listened to is read from then on."""

        async def has_begun() -> bool:
            return bool(await self._database.fetchval("SELECT count(created) FROM event_cursor"))

        await eventually(has_begun, _PATIENCE_S)

    async def keep_up(self, lost: Sequence[Json]) -> None:
        """Wait until they have read it."""
        await self.find(lost)

    async def find(self, lost: Sequence[Json]) -> None:
        """Wait until nothing is missing; the lease of a reader that died ends soon."""
        waited = 0
        while missing := await self._quiet.unknown(lost):
            if waited == _PATIENCE_S / _POLL_S:
                raise AssertionError(f"the writers do not find {len(missing)} of {len(lost)} events: {missing[:5]}")
            await asyncio.sleep(_POLL_S)
            waited += 1
            if waited % _HURRY == 0:
                await self._database.execute("UPDATE event_cursor SET expires_at = '-infinity'")


class ByReconcile:
    """A whole reconcile run, asked for by an operator; in some a writer dies."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def begin(self) -> None:
        """The event list was just read to its end, so that no writer reads it again within a day."""
        await self._means.sweeper.sweep()

    async def keep_up(self, lost: Sequence[Json]) -> None:
        """The event list plays no part."""

    async def find(self, lost: Sequence[Json]) -> None:
        """Compare everything with Stripe. Only of a customer who is gone Stripe cannot be asked whose they were."""
        means = self._means
        gone = means.town.account().gone
        await means.hand([event for event in lost if event["data"]["object"]["id"] in gone])
        await means.quiet.wait()
        status, run = await means.api.call("POST", "admin/reconcile", {"full": True})
        assert status == HTTPStatus.ACCEPTED, run
        await means.interrupt()
        await means.database.execute(_CLAIMS_END)
        report = await self._finished(run["run_id"])
        if report["failed"] or report["unknown_in_stripe"]:
            told = [one for one in report["findings"] if one["finding"] in {"failed", "unknown_in_stripe"}]
            raise AssertionError(f"reconcile did not come to terms with {told[:5]}")

    async def _finished(self, run: int) -> Json:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                _, report = await self._means.api.call("GET", f"admin/reconcile/{run}")
                if report["state"] == "finished":
                    return report
                await asyncio.sleep(_POLL_S)


def finding(finder: Finder, means: Means) -> Finding:
    """The one that a plan names."""
    match finder:
        case Finder.SWEEP:
            return BySweep(means)
        case Finder.WRITERS:
            return ByWriters(means)
        case Finder.RECONCILE:
            return ByReconcile(means)
        case _:
            assert_never(finder)


_CLAIMS_END: Final = "UPDATE reconcile_runs SET claimed_until = now() WHERE finished_at IS NULL"
