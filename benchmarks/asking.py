"""Load on a server: as much as it takes (wrk), or so many requests a second whatever becomes of them."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import orjson

from benchmarks.processes import Cores, Served
from benchmarks.tools import WRK
from sandbox.service import ROOT

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_PATIENCE: Final = 60.0


class LoadError(Exception):
    """The load did not do what it was to: no figure of such a run means anything."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request. With `users`, the path holds `%07d`, which is one of so many at random."""

    path: str
    method: str = "GET"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    users: int = 0

    def rendered(self, host: str) -> bytes:
        """As it goes over the wire, with any `%07d` left in."""
        headers = {"Host": host, **self.headers, **({"Content-Length": str(len(self.body))} if self.body else {})}
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + f"\r\n\r\n{self.body}").encode()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one round of load came to."""

    per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cpu_us: float
    """Processor time of the server for each request."""
    late_ms: float = 0.0
    """By which the load itself sent late, p99."""


def middle(rounds: Sequence[Loaded]) -> Loaded:
    """The median of each figure."""
    return Loaded(
        median(one.per_second for one in rounds),
        median(one.p50_ms for one in rounds),
        median(one.p99_ms for one in rounds),
        median(one.p999_ms for one in rounds),
        median(one.cpu_us for one in rounds),
        median(one.late_ms for one in rounds),
    )


async def flood(served: Served, question: Question, connections: int, seconds: float, cores: Cores) -> Loaded:
    """As many requests as it answers on so many connections; LoadError for an answer that is none."""
    headers = [word for pair in question.headers.items() for word in pair]
    wrk = WRK.find()
    if wrk is None:
        raise LoadError(WRK.missing)
    argv = [wrk, "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(_SCRIPT), served.url + question.path, "--"]
    argv += [question.method, question.body, str(question.users), *headers]
    before = served.cpu_seconds()
    told = await _run(argv, cores)
    used = served.cpu_seconds() - before
    if told["errors"] or not told["requests"]:
        raise LoadError(f"{question.path}: {told}")
    return Loaded(
        told["requests"] / told["seconds"],
        told["p50_ms"],
        told["p99_ms"],
        told["p999_ms"],
        used / told["requests"] * 1e6,
    )


async def pace(
    served: Served, question: Question, connections: int, per_second: int, seconds: float, cores: Cores
) -> Loaded:
    """So many requests a second, each timed from when it was due; LoadError for an answer that is none."""
    task = {
        "port": served.port,
        "request": question.rendered(f"127.0.0.1:{served.port}").decode(),
        "users": question.users,
        "connections": connections,
        "per_second": per_second,
        "seconds": seconds,
    }
    before = served.cpu_seconds()
    told = await _run([sys.executable, "-m", "benchmarks.open_loop", orjson.dumps(task).decode()], cores)
    used = served.cpu_seconds() - before
    p50, p99, p999 = told["p50_ms"], told["p99_ms"], told["p999_ms"]
    return Loaded(told["requests"] / told["seconds"], p50, p99, p999, used / told["sent"] * 1e6, told["late_ms"])


async def _run(argv: Sequence[str], cores: Cores) -> Any:
    """What a program says in its last line, which is JSON."""
    with cores.loading():
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    try:
        async with asyncio.timeout(_PATIENCE):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = output.decode(errors="replace").strip().splitlines() or ["(nothing)"]
    if process.returncode or not lines[-1].startswith("{"):
        raise LoadError(f"{argv[0]} ended with status {process.returncode}: {' / '.join(lines[-5:])}")
    return orjson.loads(lines[-1])
