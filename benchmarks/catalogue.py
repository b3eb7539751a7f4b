"""Catalogue: an edit that concerns tens of thousands of subscribers, while others go on buying.

A purchase is timed from its webhook's leaving until the app's own sidecar allows the payer, asked every few
milliseconds. `python -m benchmarks.catalogue [USERS]` runs this alone.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import asyncpg

from benchmarks.figures import Chapter, Figure, section
from benchmarks.sending import Sender
from benchmarks.subscribers import Pattern, Sent
from sandbox.interrupt import Interrupted, run
from sandbox.propagation import percentile
from sandbox.service import ROOT
from sandbox.stack import RunningApp, Stack, StackConfig

PRICE: Final = "price_benchmark"
PER_SECOND: Final = 10.0
_ASK_SECONDS: Final = 0.002
_LOOK_SECONDS: Final = 0.2
_LONGEST_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much: users who hold the edited price, and seconds of purchases before and after the edit."""

    users: int = 50_000
    seconds: float = 15.0


@dataclass(slots=True)
class _Payers:
    """People who buy one after the other at a steady pace, as long as they are let."""

    app: RunningApp
    sender: Sender
    coming: Iterator[Sent]
    milliseconds: list[float] = field(default_factory=list)

    async def buy(self, ended: asyncio.Event) -> list[float]:
        """Buy until `ended`; how long each waited."""
        self.milliseconds = []
        loop = asyncio.get_running_loop()
        began = loop.time()
        number = 0
        async with asyncio.TaskGroup() as group:
            while not ended.is_set():
                group.create_task(self._buy(next(self.coming)))
                number += 1
                await asyncio.sleep(began + number / PER_SECOND - loop.time())
        return self.milliseconds

    async def buy_for(self, seconds: float) -> list[float]:
        """Buy for some time."""
        ended = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, ended.set)
        return await self.buy(ended)

    async def _buy(self, sent: Sent) -> None:
        began = time.perf_counter()
        await self.sender.send(sent.body)
        while not (await self.app.sidecar.check(sent.user, "export"))["allowed"]:  # noqa: ASYNC110 - as an app would
            await asyncio.sleep(_ASK_SECONDS)
        self.milliseconds.append((time.perf_counter() - began) * 1000)


async def measure(stack: Stack, size: Size | None = None) -> Chapter:
    """Purchases before, during and after an edit, and how long the edit took to reach everybody."""
    size = size or Size()
    app = stack.apps["notes"]
    pattern = await Pattern.drawn(stack, app)
    sender = Sender(stack.writer_url, stack.keyring.webhook, stack.session)
    payers = _Payers(app, sender, chain.from_iterable(pattern.subscribers("c", 1_000_000, versions=1)))
    connection = await asyncpg.connect(stack.postgres.url)
    try:
        await connection.execute(_HOLDERS, app.app.project, size.users, PRICE)
        # They had something before: a document that is replaced costs more than one that is new.
        await _edit(stack, app, limit=1)
        alone = await _until_told(connection, app, asyncio.Event())
        await connection.execute("ANALYZE")
        await payers.buy_for(2.0)  # connections, caches
        before = await payers.buy_for(size.seconds)
        ended = asyncio.Event()
        committed = await _edit(stack, app, limit=5)
        during, seconds = await asyncio.gather(payers.buy(ended), _until_told(connection, app, ended))
        after = await payers.buy_for(size.seconds)
        held = await connection.fetchval(_HELD)
    finally:
        await connection.close()
    if held != size.users:
        raise AssertionError(f"{held} of {size.users} users hold what the edit gave them")
    return Chapter(
        "An edit of the catalogue, while others buy",
        f"{size.users:,} subscribers get a higher limit by one edit, {PER_SECOND:.0f} first purchases a "
        f"second go on. Until the sidecar allows the payer, asked every {_ASK_SECONDS * 1000:.0f} ms.",
        [
            *_figures("purchases before the edit", before),
            *_figures("purchases during the edit", during, "catalogue.during"),
            *_figures("purchases after the edit", after),
            Figure("the edit itself, until it is in force", committed * 1000, "ms"),
            Figure("until everybody's new document is at the sidecar", seconds, "s"),
            Figure("users per second", size.users / seconds),
            Figure("users per second of an edit while nobody buys", size.users / alone),
        ],
    )


async def _edit(stack: Stack, app: RunningApp, limit: int) -> float:
    path = f"/api/v1/admin/projects/{app.app.project}/catalog"
    declared: dict[str, Any] = (await stack.admin.call("GET", path))["declared"]
    features = {**declared["features"], "bench": {}, "bench_limit": {"kind": "limit"}}
    plans = {**declared["plans"], PRICE: {"features": {"bench": True, "bench_limit": limit}}}
    began = time.perf_counter()
    await stack.admin.call("PUT", path, body={"features": features, "plans": plans})
    return time.perf_counter() - began


async def _until_told(connection: Any, app: RunningApp, ended: asyncio.Event) -> float:
    """Seconds until the job is finished and the sidecar has its last revision."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            while not await connection.fetchval(_FINISHED, PRICE):  # noqa: ASYNC110 - another process works
                await asyncio.sleep(_LOOK_SECONDS)
            head = await connection.fetchval("SELECT revision FROM projects WHERE public_id = $1", app.app.project)
            while (await app.sidecar.check("nobody", "export"))["revision"] < head:  # noqa: ASYNC110
                await asyncio.sleep(_ASK_SECONDS)
        return time.perf_counter() - began
    finally:
        ended.set()


def _figures(name: str, milliseconds: list[float], named: str = "") -> list[Figure]:
    return [
        Figure(name, len(milliseconds)),
        Figure(f"{name}, p50", percentile(milliseconds, 50), "ms"),
        Figure(f"{name}, p99", percentile(milliseconds, 99), "ms", named and f"{named}_p99"),
        Figure(f"{name}, longest", max(milliseconds), "ms"),
    ]


_HOLDERS: Final = """
WITH u AS (
    INSERT INTO users (project_id, user_id)
    SELECT p.id, 'holder-' || n FROM projects p, generate_series(1, $2::bigint) n WHERE p.public_id = $1
    RETURNING id, user_id
), s AS (
    INSERT INTO subscriptions (id, customer_id, user_id, status, started_at, cancel_at_period_end, collection_method,
        livemode)
    SELECT 'sub_' || user_id, 'cus_' || user_id, user_id, 'active', now(), false, 'charge_automatically', false FROM u
)
INSERT INTO subscription_items (id, subscription_id, user_ref, price_id, product_id, quantity, period_start, period_end)
SELECT 'si_' || user_id, 'sub_' || user_id, id, $3::text, 'prod_benchmark', 1, now(), now() + interval '30 days' FROM u
"""

_FINISHED: Final = """
SELECT coalesce(bool_and(finished_at IS NOT NULL), false) FROM recompute_jobs WHERE targets ? $1
"""

_HELD: Final = "SELECT count(*) FROM entitlements WHERE feature_code = 'bench_limit' AND value = '5'"


async def _alone(users: int) -> int:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as data:
        async with Stack(
            StackConfig(ROOT / ".sandbox" / "logs" / "benchmarks" / "catalogue", data=Path(data))
        ) as stack:
            print(section(await measure(stack, Size(users))))
    return 0


def main() -> int:
    """The exit status."""
    try:
        return run(_alone(int(sys.argv[1]) if len(sys.argv) > 1 else Size().users))
    except Interrupted as signal:
        return 128 + signal.number


if __name__ == "__main__":
    sys.exit(main())
