"""`python -m benchmarks [NAME…]`: measure, print, and bring the report up to date."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks import backlog, catalogue, check, growth, herd, inprocess, latency, machine, pauses
from benchmarks.figures import Chapter, Figure
from benchmarks.report import Circumstances, Measured, Report
from sandbox.interrupt import Interrupted, run
from sandbox.service import ROOT
from sandbox.stack import Stack, StackConfig

REPORT: Final = ROOT / "benchmarks"
LOGS: Final = ROOT / ".sandbox" / "logs" / "benchmarks"
_MANY: Final = 1_000_000

Benchmark = Callable[[bool], Awaitable[Chapter]]


async def measure(names: Sequence[str], folder: Path, *, quick: bool) -> int:
    """Run the benchmarks; the report in `folder` takes each in when it is done, and keeps what it had of the others."""
    report = Report.read(folder)
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        load, began = machine.busy(), time.monotonic()
        chapter = await BENCHMARKS[name](quick)
        at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
        took, flush = time.monotonic() - began, await asyncio.to_thread(machine.flush_ms, Path(tempfile.gettempdir()))
        told = Circumstances(at, _commit(), machine.describe(), load, flush, took)
        report = report.plus(name, Measured(chapter, told))
        report.write(folder, list(BENCHMARKS))
    return 0


async def _check(quick: bool) -> Chapter:
    few = check.Size(1_000, (1, 16), rounds=1, seconds=1, paced_rounds=1, paced_seconds=0.5)
    return await check.measure(few if quick else None)


async def _inprocess(quick: bool) -> Chapter:
    return await (inprocess.measure(1_000, 1) if quick else inprocess.measure())


async def _growth(quick: bool) -> Chapter:
    return await growth.measure(growth.Size((1_000, 3_000), rounds=1, seconds=1) if quick else None)


async def _pauses(quick: bool) -> Chapter:
    found = await (pauses.measure(1_000, 2.0) if quick else pauses.measure(_MANY))
    figures = [Figure(name.replace("_", " "), value) for name, value in found.items()]
    return Chapter(
        "Pauses",
        f"A sidecar with {found['users']:,.0f} users, {pauses.PER_SECOND:,} changes a second, the copy saved every "
        "10 s. A task in its loop wants to run each millisecond: how late it came, and how long the loop's thread "
        "itself worked between two of its turns, which leaves out waiting for a core.",
        [Figure("longest pause while changes arrive", found["flowing_longest_ms"], "ms", "pauses.longest"), *figures],
    )


async def _latency(quick: bool) -> Chapter:
    return await _on_a_stack("latency", lambda stack: latency.measure(stack, latency.Size(2, 3) if quick else None))


async def _backlog(quick: bool) -> Chapter:
    return await _on_a_stack("backlog", lambda stack: backlog.measure(stack, backlog.Size(3) if quick else None))


async def _catalogue(quick: bool) -> Chapter:
    return await _on_a_stack(
        "catalogue", lambda stack: catalogue.measure(stack, catalogue.Size(200) if quick else None)
    )


async def _herd(quick: bool) -> Chapter:
    return await _on_a_stack("herd", lambda stack: herd.measure(stack, herd.Size(10, 50, 0.5) if quick else None))


async def _on_a_stack(name: str, measured: Callable[[Stack], Awaitable[Chapter]]) -> Chapter:
    """Each on a stack of its own. Kept data make a durable Postgres: commits that are not flushed cost nothing."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as data:
        async with Stack(StackConfig(LOGS / name, data=Path(data))) as stack:
            return await measured(stack)


BENCHMARKS: Final[Mapping[str, Benchmark]] = MappingProxyType(
    {
        "check": _check,
        "inprocess": _inprocess,
        "growth": _growth,
        "pauses": _pauses,
        "latency": _latency,
        "backlog": _backlog,
        "catalogue": _catalogue,
        "herd": _herd,
    }
)
"""In the order in which they are run and told."""


def _commit() -> str:
    """The commit, with a `+` where files differ from it."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],  # noqa: S607 - whichever git there is
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()


def main() -> int:
    """The exit status; a missed target is a figure, not an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--report", type=Path, default=REPORT, metavar="FOLDER", help="where the report is")
    parser.add_argument("--quick", action="store_true", help="little of everything: says that it works, not how fast")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if chosen.quick and chosen.report == REPORT:
        parser.error("--quick needs --report FOLDER: its figures must not replace measured ones")
    try:
        status = run(measure(chosen.names or list(BENCHMARKS), chosen.report, quick=chosen.quick))
    except Interrupted as signal:
        return 128 + signal.number
    print((chosen.report / "report.md").read_text())
    return status


if __name__ == "__main__":
    sys.exit(main())
