"""The operations guide's commands out of tests/guide/commands.yaml, and what each must show."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.docker_smoke.engine import Engine, EngineError
from tests.docker_smoke.table import Table

FILE: Final = Path(__file__).resolve().parents[1] / "guide" / "commands.yaml"
WITHIN_S: Final = 60.0
GROUND: Final = frozenset({"build", "start"})
"""Without these nothing of the rest could succeed."""
MEMBERS: Final = frozenset({"id", "guide", "run", "why", "before", "after", "expect", "within"})
EXPECTED: Final = frozenset({"status", "output", "absent"})


class FormError(Exception):
    """The file does not have the form that its head describes."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `runs` is what is run, `guide` what is printed. `within`: seconds."""

    id: str
    guide: str
    runs: str
    why: str | None
    before: tuple[str, ...]
    after: tuple[str, ...]
    status: int
    output: str | None
    absent: str | None
    within: float

    def fault(self, status: int, text: str) -> str | None:
        """What is wrong with how it ended; None: nothing."""
        if status != self.status:
            return f"ended with status {status}, not {self.status}"
        if self.output is not None and not re.search(self.output, text, re.MULTILINE):
            return f"nothing like {self.output!r} in what it printed"
        if self.absent is not None and (found := re.search(self.absent, text, re.MULTILINE)):
            return f"it printed {found[0]!r}"
        return None


def load(path: Path = FILE) -> list[Command]:
    """Every command, in the guide's order; FormError where the file's form is wrong."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["commands"]
    commands = [_command(entry) for entry in entries]
    ids = [command.id for command in commands]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise FormError(f"ids that stand there twice: {', '.join(twice)}")
    return commands


def _command(entry: Mapping[str, Any]) -> Command:
    name = entry.get("id", entry)
    expect = entry.get("expect", {})
    if not re.fullmatch(r"[a-z]+(-[a-z]+)*", str(name)):
        raise FormError(f"{name}: an id is of small letters and hyphens")
    if unknown := {*entry.keys() - MEMBERS, *expect.keys() - EXPECTED}:
        raise FormError(f"{name}: unknown: {', '.join(sorted(unknown))}")
    if ("run" in entry) != ("why" in entry):
        raise FormError(f"{name}: `run` and `why` go together")
    return Command(
        id=name,
        guide=entry["guide"].rstrip("\n"),
        runs=entry.get("run", entry["guide"]),
        why=entry.get("why"),
        before=tuple(entry.get("before", ())),
        after=tuple(entry.get("after", ())),
        status=int(expect.get("status", 0)),
        output=expect.get("output"),
        absent=expect.get("absent"),
        within=float(entry.get("within", WITHIN_S)),
    )


def run_all(engine: Engine, table: Table, commands: Sequence[Command]) -> None:
    """Run one after the other, as the guide does; what one leaves is what the next finds."""
    for command in commands:
        with table.row(f"guide: {command.id}") as row:
            for step in command.before:
                engine.must(step)
            done = engine.shell(command.runs, command.within)
            if fault := command.fault(done.status, done.text):
                row.fail(fault, done.text)
            else:
                for step in command.after:
                    engine.must(step)
        if row.fault and command.id in GROUND:
            raise EngineError(f"the rest was not tried: {command.id} failed")
