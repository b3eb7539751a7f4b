"""`python -m sandbox.demo`: play the story; exit status 0 only if every answer was right."""

import sys
from typing import Final

from sandbox.binaries import MissingServerError
from sandbox.clients import CallError
from sandbox.demo import cancellation, confirmation, outage, payment, purchases, refund
from sandbox.demo.report import Report, WrongAnswerError
from sandbox.demo.world import World
from sandbox.interrupt import Interrupted, run
from sandbox.processes import ProcessError
from sandbox.seed import SeedError
from sandbox.service import ROOT
from sandbox.stack import Stack, StackConfig

CHAPTERS: Final = (payment, confirmation, cancellation, refund, outage, purchases)
LOGS: Final = ROOT / ".sandbox" / "logs" / "demo"
FAULTS: Final = (WrongAnswerError, CallError, ProcessError, SeedError, MissingServerError, TimeoutError)


async def _demo(report: Report) -> int:
    report.chapter("Starting the stack: Postgres, Redis, Stripe's stand-in, a writer, two sidecars")
    async with Stack(StackConfig(LOGS), lambda text: report.note(f"up: {text}")) as stack:
        world = World(stack, report)
        for chapter in CHAPTERS:
            await chapter.play(world)
    report.chapter(f"All {report.lines} lines were right, in {report.seconds:.0f} s. Every process has ended.")
    return 0


def main() -> int:
    """The exit status: 0 all right, 1 something was wrong, 128 + number after a signal."""
    report = Report(sys.stdout)
    try:
        return run(_demo(report))
    except Interrupted as signal:
        report.failure(f"ended by {signal}; every process was stopped", "")
        return 128 + signal.number
    except FAULTS as error:
        details = "" if isinstance(error, WrongAnswerError) else f"{type(error).__name__}: {error}"
        report.failure(f"The demo stops here; the logs are in {LOGS.relative_to(ROOT)}", details)
        return 1


if __name__ == "__main__":
    sys.exit(main())
