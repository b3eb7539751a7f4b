"""What grows with the number of users: starts and memory, in proportion; and what does not: the cost of a check."""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import starts
from benchmarks.asking import Loaded, Question, flood, middle
from benchmarks.beating import beating
from benchmarks.figures import Chapter, Figure, Grid, Plot, Row
from benchmarks.population import Population
from benchmarks.processes import Cores, Served, sidecar
from benchmarks.tools import WRK
from sandbox.redis import RedisConfig, RedisServer

_PATH: Final = "/api/v1/check?user_id=user-%s&feature=pro"
_CONNECTIONS: Final = 16
_LARGE: Final = 1_000_000
_SMALL: Final = 1_000
_WORDS: Final = {"redis": "Redis", "disk": "disk", "writer": "the writer"}
_COLUMNS: Final = (
    "start from Redis s",
    "… from disk s",
    "… from the writer s",
    "memory MB",
    "… most, while loading MB",
    "own memory (USS) MB",
    "file on disk MB",
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much."""

    users: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    rounds: int = 3
    seconds: float = 2.0


async def measure(size: Size | None = None) -> Chapter:
    """Starts and memory of each number of users, one after the other; then checks on all of them, in turns."""
    size, cores = size or Size(), Cores.of_this_machine()
    begun = {users: await starts.measure(users) for users in size.users}
    own, asked = await _asked(size, cores)
    values = {users: _values(figures, own.get(users)) for users, figures in begun.items()}
    large, small = begun.get(_LARGE, {}), begun.get(_SMALL, {})
    return Chapter(
        "Growth: starts, memory, and the cost of a check",
        "Three features a user. A start is a process of its own, from its first instruction until it answers all; "
        "Python's own start and the imports are part of it. From the writer: its snapshot, streamed from a file. "
        f"Memory: the whole process after a start from Redis. {cores.told if asked else ''} Checks: "
        f"{_CONNECTIONS} connections, {size.rounds} rounds of {size.seconds:g} s in turns, medians.",
        [
            Figure("1,000,000 users, start from Redis", large.get("redis_process_s"), "s", "starts.redis"),
            Figure("1,000,000 users, start from disk", large.get("disk_process_s"), "s", "starts.disk"),
            Figure("1,000,000 users, start from the writer", large.get("writer_process_s"), "s"),
            Figure("1,000,000 users, memory", large.get("redis_memory_mb"), "MB", "memory.large"),
            Figure("1,000 users, memory", small.get("redis_memory_mb"), "MB", "memory.idle"),
        ],
        [
            Grid("Starts and memory", _COLUMNS, [Row(f"{users:,} users", row) for users, row in values.items()]),
            Grid(
                "Of a start, loading the copy",
                [f"from {_WORDS[source]} s" for source in _WORDS],
                [Row(f"{users:,} users", [begun[users][f"{source}_load_s"] for source in _WORDS]) for users in begun],
            ),
            Grid(
                "A check",
                ["one user: requests/s", "server's µs", "p99 ms", "at random: requests/s", "server's µs", "p99 ms"],
                [Row(f"{users:,} users", _check(asked, users)) for users in size.users],
            ),
        ],
        _plots(size, values, asked),
        [] if asked else [WRK.missing],
    )


Rounds = dict[tuple[int, bool], list[Loaded]]


async def _asked(size: Size, cores: Cores) -> tuple[dict[int, float], Rounds]:
    """Own memory by the number of users, and the rounds, by that and whether users were taken at random."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="growth-")))
        served: dict[int, Served] = {}
        for users in size.users:
            redis = await stack.enter_async_context(RedisServer(RedisConfig()))
            population = Population(users)
            await asyncio.to_thread(population.write, redis.url)
            await stack.enter_async_context(beating(population, redis.url))
            served[users] = await stack.enter_async_context(sidecar(redis.url, folder, cores))
        own = {users: one.memory_mb() for users, one in served.items()}
        rounds: Rounds = {}
        for _ in range(size.rounds if WRK.find() else 0):
            for users, one in served.items():
                for question in (Question(_PATH % "0000001"), Question(_PATH % "%07d", users=users)):
                    loaded = await flood(one, question, _CONNECTIONS, size.seconds, cores)
                    rounds.setdefault((users, question.users > 0), []).append(loaded)
        return own, rounds


def _values(figures: dict[str, float], own: float | None) -> Sequence[float | None]:
    return (
        figures["redis_process_s"],
        figures["disk_process_s"],
        figures["writer_process_s"],
        figures["redis_memory_mb"],
        figures["redis_most_memory_mb"],
        own,
        figures["saved_mb"],
    )


def _check(asked: Rounds, users: int) -> Sequence[float | None]:
    found: list[float | None] = []
    for at_random in (False, True):
        rounds = asked.get((users, at_random))
        one = None if rounds is None else middle(rounds)
        found += (None, None, None) if one is None else (one.per_second, one.cpu_us, one.p99_ms)
    return found


def _plots(size: Size, values: dict[int, Sequence[float | None]], asked: Rounds) -> list[Plot]:
    points = list(size.users)

    def cost(at_random: bool) -> list[float | None]:
        rounds = (asked.get((users, at_random)) for users in points)
        return [None if one is None else median(loaded.cpu_us for loaded in one) for one in rounds]

    def column(number: int) -> list[float | None]:
        return [values[users][number] for users in points]

    names = [f"{users:,} users" for users in points]
    started = [Row(name, column(index)) for index, name in enumerate(("from Redis", "from disk", "from the writer"))]
    costs = [Row("one user", cost(at_random=False)), Row("users at random", cost(at_random=True))]
    return [
        Plot("cost", "Server's processor time for a check", "µs", "bars", names, costs),
        Plot("starts", "Start, by users", "s", "lines", points, started),
        Plot("memory", "Memory of the whole process, by users", "MB", "lines", points, [Row("memory", column(3))]),
    ]
