"""A check beside what else could answer it: nginx with a constant, a routed handler, and the other faces.

The candidates take turns in short rounds, so that whatever else the machine does is shared by all of them.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import aiohttp
import orjson

from benchmarks.asking import Loaded, Question, flood, middle, pace
from benchmarks.beating import beating
from benchmarks.figures import Chapter, Figure, Grid, Plot, Row
from benchmarks.population import Population
from benchmarks.processes import Cores, Served, nginx, sidecar
from benchmarks.tools import NGINX, WRK
from sandbox.redis import RedisConfig, RedisServer

NGINX_ROW: Final = "nginx, a constant of the same size"
ONE: Final = "check, one user"
RANDOM: Final = "check, users at random"
ROUTED: Final = "check, routed aiohttp handler"
BATCH: Final = "10 checks in one request"
OFREP: Final = "OFREP, one flag"
AUTHZ: Final = "authz (forward auth)"
PACED: Final = (NGINX_ROW, ONE, RANDOM, ROUTED)
RATES: Final = (1_000, 10_000)
_CONNECTIONS: Final = 16
_CHECK: Final = "/api/v1/check?user_id=user-0000001&feature=pro"
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much."""

    users: int = 100_000
    connections: tuple[int, ...] = (1, 16, 64)
    rounds: int = 5
    seconds: float = 2.0
    """Of a round; wrk knows whole ones only."""
    paced_rounds: int = 3
    paced_seconds: float = 4.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who answers; no server: it is missing."""

    name: str
    served: Served | None
    question: Question


Rounds = Mapping[tuple[str, int], list[Loaded]]


async def measure(size: Size | None = None) -> Chapter:
    """All candidates at full load, then some at fixed rates."""
    size, cores = size or Size(), Cores.of_this_machine()
    missing = [tool.missing for tool in (NGINX, WRK) if tool.find() is None]
    async with _candidates(size, cores) as candidates:
        full: Rounds = {} if WRK.find() is None else await _flooded(candidates, size, cores)
        paced = await _paced([one for one in candidates if one.name in PACED], size, cores)
    setting = (
        f"{size.users:,} users of three features each. {cores.told} wrk with one thread, {size.rounds} rounds of "
        f"{size.seconds:g} s for each candidate and number of connections, in turns; medians. At fixed rates a request "
        f"is timed from when it was due, on {_CONNECTIONS} connections (no coordinated omission). Processor time is "
        "the server process's own, system's calls included; noise hardly moves it."
    )
    names = [one.name for one in candidates]
    return Chapter(
        "Check over HTTP",
        setting,
        figures=_figures(full, paced),
        grids=[*_full_grids(names, full, size), *(_paced_grid(rate, paced) for rate in RATES)],
        plots=_plots(names, full, paced, size),
        missing=missing,
    )


@contextlib.asynccontextmanager
async def _candidates(size: Size, cores: Cores) -> AsyncIterator[Sequence[Candidate]]:
    population = Population(size.users)
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="check-")))
        redis = await stack.enter_async_context(RedisServer(RedisConfig()))
        await asyncio.to_thread(population.write, redis.url)
        await stack.enter_async_context(beating(population, redis.url))
        ours = await stack.enter_async_context(sidecar(redis.url, folder, cores))
        routed = await stack.enter_async_context(sidecar(redis.url, folder, cores, "benchmarks.routed"))
        constant = await stack.enter_async_context(nginx(await _answer(ours), folder, cores))
        checks = [{"user_id": f"user-{number:07d}", "feature": "pro"} for number in range(10)]
        flag = orjson.dumps({"context": {"targetingKey": "user-0000001"}}).decode()
        batch = orjson.dumps({"checks": checks}).decode()
        yield (
            Candidate(NGINX_ROW, constant, Question(_CHECK)),
            Candidate(ONE, ours, Question(_CHECK)),
            Candidate(RANDOM, ours, Question(_CHECK.replace("0000001", "%07d"), users=size.users)),
            Candidate(ROUTED, routed, Question(_CHECK)),
            Candidate(BATCH, ours, Question("/api/v1/check", "POST", batch, _JSON)),
            Candidate(OFREP, ours, Question("/ofrep/v1/evaluate/flags/pro", "POST", flag, _JSON)),
            Candidate(AUTHZ, ours, Question("/authz/pro", headers={"X-User-Id": "user-0000001"})),
        )


async def _answer(served: Served) -> bytes:
    """What nginx is to say: the very answer."""
    async with aiohttp.ClientSession() as session, session.get(served.url + _CHECK) as response:
        answer = await response.read()
    told = orjson.loads(answer)
    if not told["allowed"]:
        raise AssertionError(f"an answer that nobody would ask for again: {told}")
    return answer


async def _flooded(candidates: Sequence[Candidate], size: Size, cores: Cores) -> Rounds:
    found: dict[tuple[str, int], list[Loaded]] = {}
    for _ in range(size.rounds):
        for connections in size.connections:
            for one in candidates:
                if one.served is not None:
                    loaded = await flood(one.served, one.question, connections, size.seconds, cores)
                    found.setdefault((one.name, connections), []).append(loaded)
    return found


async def _paced(candidates: Sequence[Candidate], size: Size, cores: Cores) -> Rounds:
    found: dict[tuple[str, int], list[Loaded]] = {}
    for _ in range(size.paced_rounds):
        for rate in RATES:
            for one in candidates:
                if one.served is not None:
                    loaded = await pace(one.served, one.question, _CONNECTIONS, rate, size.paced_seconds, cores)
                    found.setdefault((one.name, rate), []).append(loaded)
    return found


def _figures(full: Rounds, paced: Rounds) -> list[Figure]:
    at_16, at_10k = full.get((ONE, _CONNECTIONS)), paced.get((ONE, 10_000))
    return [
        Figure("one user, of nginx's requests a second", _ratio(full, ONE, NGINX_ROW), "", "check.of_nginx"),
        Figure("users at random, of nginx's", _ratio(full, RANDOM, NGINX_ROW), "", "check.random_of_nginx"),
        Figure("one user, of the routed handler's", _ratio(full, ONE, ROUTED), "", "check.of_routed"),
        Figure("one user, p99 at full load", None if at_16 is None else middle(at_16).p99_ms, "ms", "check.p99_full"),
        Figure(
            "one user, p99 at 10,000 a second", None if at_10k is None else middle(at_10k).p99_ms, "ms", "check.p99_10k"
        ),
    ]


def _ratio(full: Rounds, ours: str, theirs: str) -> float | None:
    """The median of the rounds' ratios: both sides of each were measured within seconds."""
    pairs = zip(full.get((ours, _CONNECTIONS), ()), full.get((theirs, _CONNECTIONS), ()), strict=False)
    found = [one.per_second / other.per_second for one, other in pairs]
    return median(found) if found else None


def _full_grids(names: Sequence[str], full: Rounds, size: Size) -> list[Grid]:
    columns = ("requests/s", "p50 ms", "p99 ms", "p99.9 ms", "server's processor µs a request")
    return [
        Grid(
            f"Full load, {_told(connections)}",
            columns,
            [Row(name, _values(full.get((name, connections)))) for name in names],
        )
        for connections in size.connections
    ]


def _told(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"


def _values(rounds: Sequence[Loaded] | None) -> Sequence[float | None]:
    if rounds is None:
        return (None,) * 5
    one = middle(rounds)
    return one.per_second, one.p50_ms, one.p99_ms, one.p999_ms, one.cpu_us


def _paced_grid(rate: int, paced: Rounds) -> Grid:
    columns = ("answered/s", "p50 ms", "p99 ms", "p99.9 ms", "server's processor µs a request", "sent late p99 ms")
    rows = []
    for name in PACED:
        rounds = paced.get((name, rate))
        late = None if rounds is None else middle(rounds).late_ms
        rows.append(Row(name, (*_values(rounds), late)))
    return Grid(f"{rate:,} requests a second", columns, rows)


def _plots(names: Sequence[str], full: Rounds, paced: Rounds, size: Size) -> list[Plot]:
    points = [_told(connections) for connections in size.connections]
    rates = [
        Row(name, [_values(full.get((name, connections)))[0] for connections in size.connections]) for name in names
    ]
    parts = ("p50", "p99", "p99.9")
    waits = [Row(name, _values(paced.get((name, 10_000)))[1:4]) for name in PACED]
    return [
        Plot("throughput", "Requests a second on one core", "1/s", "bars", points, rates),
        Plot("latency", "Latency at 10,000 requests a second", "ms", "bars", parts, waits),
    ]
