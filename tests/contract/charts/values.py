"""A chart's values.yaml read with its comments: what each value is for, and what it may be.

A comment above a key describes it, in Markdown. Its line `@schema {…}` adds to the value's JSON Schema, whose type
follows from the default otherwise; `shape` names one of `shapes.py`, and the values of a `nullable` group may be null.
The file's first comment, up to an empty line, is about the chart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

CHARTS: Final = Path(__file__).resolve().parents[3] / "charts"
NAMES: Final = ("billing-writer", "billing-sidecar", "example-app")

_SCHEMA: Final = "@schema "


@dataclass(frozen=True, slots=True)
class Value:
    """One value, or a group of them."""

    path: tuple[str, ...]
    default: Any
    text: str
    """What it is for: Markdown, in one line."""
    schema: dict[str, Any]
    """What its comment adds to its schema."""
    children: tuple["Value", ...]
    """The values of a group, in the file's order; none of a leaf."""

    @property
    def name(self) -> str:
        """As `--set` takes it."""
        return ".".join(self.path)

    def leaves(self) -> Iterator["Value"]:
        """Itself, or all below it."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


@dataclass(frozen=True, slots=True)
class ValuesFile:
    """All of a chart's values."""

    intro: str
    """What the chart is: Markdown."""
    values: tuple[Value, ...]

    def leaves(self) -> list[Value]:
        """Every single value."""
        return [leaf for value in self.values for leaf in value.leaves()]


@cache
def read(chart: str) -> ValuesFile:
    """The annotated values of a chart."""
    text = (CHARTS / chart / "values.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    end = lines.index("")
    intro = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:end])
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    return ValuesFile(intro, _group(node, lines, (), yaml.safe_load(text)))


def _group(node: yaml.MappingNode, lines: Sequence[str], above: tuple[str, ...], defaults: Any) -> tuple[Value, ...]:
    return tuple(_value(key, value, lines, above, defaults) for key, value in node.value)


def _value(key: yaml.Node, node: yaml.Node, lines: Sequence[str], above: tuple[str, ...], defaults: Any) -> Value:
    name: str = key.value
    text, schema = _comment(lines, key.start_mark.line)
    path, default = (*above, name), defaults[name]
    grouped = isinstance(node, yaml.MappingNode) and "shape" not in schema
    children = _group(node, lines, path, default) if grouped and isinstance(node, yaml.MappingNode) else ()
    return Value(path, default, text, schema, children)


def _comment(lines: Sequence[str], line: int) -> tuple[str, dict[str, Any]]:
    """What the comment right above a line says, and what it adds to the schema."""
    first = line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    comment = [each.strip().removeprefix("#").strip() for each in lines[first:line]]
    schemas = [each.removeprefix(_SCHEMA) for each in comment if each.startswith(_SCHEMA)]
    words = [each for each in comment if not each.startswith(_SCHEMA)]
    schema: dict[str, Any] = yaml.safe_load(schemas[0]) if schemas else {}
    return " ".join(words), schema
