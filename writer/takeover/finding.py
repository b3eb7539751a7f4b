"""What an examination found: how bad it is, what it is, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is. Only `fail` keeps something from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    level: Level
    what: str
    mend: str | None = None


def good(check: str, what: str) -> Finding:
    """Nothing to mend."""
    return Finding(check, Level.OK, what)


def bad(check: str, what: str, mend: str) -> Finding:
    """Something does not work."""
    return Finding(check, Level.FAIL, what, mend)


def doubtful(check: str, what: str, mend: str) -> Finding:
    """Something may not be meant so."""
    return Finding(check, Level.WARN, what, mend)


def to_json(finding: Finding) -> dict[str, Any]:
    """As `--json` shows it."""
    return {"check": finding.check, "level": finding.level.value, "what": finding.what, "mend": finding.mend}
