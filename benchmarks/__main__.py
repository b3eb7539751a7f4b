"""`python -m benchmarks [NAME…]`: measure, print, and write the report."""

import argparse
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks import backlog, catalogue, latency, machine
from benchmarks.figures import Chapter, table
from sandbox.interrupt import Interrupted, run
from sandbox.service import ROOT
from sandbox.stack import Stack, StackConfig

REPORT: Final = ROOT / ".sandbox" / "benchmarks" / "report.md"
LOGS: Final = ROOT / ".sandbox" / "logs" / "benchmarks"

Benchmark = Callable[[Stack], Awaitable[Chapter]]
BENCHMARKS: Final[Mapping[str, Benchmark]] = MappingProxyType(
    {"latency": latency.measure, "backlog": backlog.measure, "catalogue": catalogue.measure}
)
"""In the order in which they are run."""


async def measure(names: Sequence[str], report: Path) -> int:
    """Run the benchmarks, each on a stack of its own, and write `report`."""
    chapters: list[Chapter] = []
    for name in names:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as data:
            # Kept data make a durable Postgres: what is not flushed to the disk is not measured honestly.
            async with Stack(StackConfig(LOGS / name, data=Path(data))) as stack:
                chapters.append(await BENCHMARKS[name](stack))
        _write(_report(chapters), report)  # what was measured is kept, whatever becomes of the next
    return 0


def _write(text: str, report: Path) -> None:
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(text)


def _report(chapters: Sequence[Chapter]) -> str:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    head = f"`make bench`, {now} UTC, on {machine.describe()}. A flush to its disk takes "
    head += f"{machine.flush_ms(Path(tempfile.gettempdir())):.1f} ms; load average at the end {machine.busy():.1f}."
    return f"# Measured\n\n{head}\n\n{table(chapters)}"


def main() -> int:
    """The exit status; a missed target is a figure, not an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default")
    parser.add_argument("--report", type=Path, default=REPORT, help="where to write it")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    try:
        status = run(measure(chosen.names or list(BENCHMARKS), chosen.report))
    except Interrupted as signal:
        return 128 + signal.number
    print(chosen.report.read_text())
    return status


if __name__ == "__main__":
    sys.exit(main())
