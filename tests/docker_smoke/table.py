"""The smoke run's table: a row for each check, printed as it ends and once more as a whole."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from sandbox.clients import CallError
from sandbox.seed import SeedError
from tests.docker_smoke.engine import EngineError

FAULTS: Final = (EngineError, CallError, SeedError, TimeoutError, AssertionError, OSError, KeyError)
TAIL: Final = 30


@dataclass(slots=True)
class Row:
    """One check. `note`: what it found, for the last table."""

    what: str
    fault: str | None = None
    note: str = ""
    seconds: float = 0.0

    def fail(self, fault: str, output: str = "") -> None:
        """It is wrong; the end of `output` is shown."""
        self.fault = fault
        for line in output.splitlines()[-TAIL:]:
            _say(f"      | {line}")


@dataclass(slots=True)
class Table:
    """All checks of a run."""

    rows: list[Row] = field(default_factory=list)

    @contextmanager
    def row(self, what: str) -> Iterator[Row]:
        """A check: it fails where it says so, or where it raises one of FAULTS."""
        row, began = Row(what), time.monotonic()
        try:
            yield row
        except FAULTS as error:
            first, _, rest = str(error).partition("\n")
            row.fail(f"{type(error).__name__}: {first}", rest)
        row.seconds = time.monotonic() - began
        self.rows.append(row)
        _say(_line(row))

    @property
    def failed(self) -> int:
        """How many checks failed."""
        return sum(row.fault is not None for row in self.rows)

    def show(self) -> None:
        """Everything once more, and the sum."""
        _say(f"\n{'check':34} {'':6} {'s':>6}  found")
        for row in self.rows:
            _say(_line(row))
        _say(f"{len(self.rows)} checks, {self.failed} failed, {sum(row.seconds for row in self.rows):.0f} s")


def _line(row: Row) -> str:
    state = "ok" if row.fault is None else "FAILED"
    return f"{row.what:34} {state:6} {row.seconds:6.1f}  {row.fault or row.note}".rstrip()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
