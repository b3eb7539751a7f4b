"""The alerts as tests read them, and what an expression of PromQL asks for."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.contract.docs import metrics

ROOT: Final = Path(__file__).resolve().parents[3]
FILE: Final = ROOT / "charts" / "billing-writer" / "files" / "alerts.yaml"
CASES: Final = Path(__file__).parent / "cases.yaml"

SELECTOR: Final = re.compile(r"\b((?:billing|sidecar)_[a-z0-9_]+)(\{[^}]*\})?")
_MATCHER: Final = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"")
_GROUPED: Final = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_PARTS: Final = ("_bucket", "_count", "_sum")
_OF_ALL: Final = frozenset({"job", "instance", "le", "epoch"})
"""What Prometheus, a histogram or an expression itself brings."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert."""

    name: str
    expression: str
    lasts: str
    severity: str
    annotations: Mapping[str, str]
    raw: Mapping[str, Any]
    """As it stands in the file."""

    @property
    def runbook(self) -> Path:
        """The page that says what to do."""
        return ROOT / self.annotations["runbook_url"]


def read() -> list[Rule]:
    """All alerts, in the file's order."""
    return [
        Rule(
            raw["alert"],
            raw["expr"],
            raw.get("for", ""),
            raw.get("labels", {}).get("severity", ""),
            raw.get("annotations", {}),
            raw,
        )
        for group in yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"]
        for raw in group["rules"]
    ]


def selectors(expression: str) -> list[str]:
    """Every selector of a metric of ours, with its labels, as it is written."""
    return [match.group(0) for match in SELECTOR.finditer(expression)]


async def known() -> dict[str, tuple[str, ...]]:
    """Every metric of writer and sidecar by name, a histogram's parts by theirs; with its labels."""
    described = [*await metrics.writers(), *await metrics.sidecars()]
    found: dict[str, tuple[str, ...]] = {}
    for one in described:
        suffixes: Sequence[str] = _PARTS if one.kind == "histogram" else ("",)
        found |= {f"{one.name}{suffix}": one.labels for suffix in suffixes}
    return found


def faults(expression: str, metrics_known: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """What an expression asks for and no process tells: a metric, or a label of one."""
    asked: set[str] = set()
    for match in SELECTOR.finditer(expression):
        name, matchers = match.groups()
        if name not in metrics_known:
            yield f"there is no metric {name}"
            continue
        asked |= set(metrics_known[name])
        for label in _MATCHER.findall(matchers or ""):
            if label not in metrics_known[name] and label not in _OF_ALL:
                yield f"{name} has no label {label}"
    if any(name in expression for name in ("ALERTS", "__name__")):
        return
    for group in _GROUPED.findall(expression):
        for label in filter(None, (part.strip() for part in group.split(","))):
            if label not in asked and label not in _OF_ALL:
                yield f"nothing in it has a label {label}"
