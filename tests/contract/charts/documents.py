"""Writes each chart's values.schema.json and README.md from its annotated values: `make charts-docs`."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import yaml

from tests.contract.charts.shapes import SHAPES, Schema
from tests.contract.charts.values import CHARTS, NAMES, Value, ValuesFile, read

SCHEMA: Final = "values.schema.json"
README: Final = "README.md"

_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_GLOBAL: Final[Schema] = {"type": "object", "description": "Helm's own, of a chart above this one."}


def schema(chart: str) -> str:
    """The chart's values.schema.json."""
    values = read(chart).values
    whole = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"Values of {chart}",
        "description": "Made from the comments of values.yaml by `make charts-docs`.",
        **_group(values, {}),
    }
    whole["properties"] = {**whole["properties"], "global": _GLOBAL}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _group(values: Sequence[Value], more: Schema) -> Schema:
    """Closed, and whole: every default is there, unless a null took it away, which Helm does before it checks."""
    given = dict(more)
    properties = {value.path[-1]: _schema(value) for value in values}
    required = [] if given.pop("nullable", False) else [value.path[-1] for value in values if not _may_be_null(value)]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {**properties, **given.pop("properties", {})},
        **({"required": required} if required else {}),
        **given,
    }


def _may_be_null(value: Value) -> bool:
    return "null" in value.schema.get("type", ())


def _schema(value: Value) -> Schema:
    described: Schema = {"description": value.text} if value.text else {}
    given = dict(value.schema)
    if value.children:
        return {**described, **_group(value.children, given)}
    if "shape" in given:
        return {**described, **SHAPES[given.pop("shape")].schema, **given}
    kind = {} if given.keys() & {"type", "enum"} else {"type": _TYPES[type(value.default)]}
    return {**described, **kind, **given}


def readme(chart: str) -> str:
    """The chart's README.md."""
    about: dict[str, Any] = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text(encoding="utf-8"))
    oldest = about["kubeVersion"].removesuffix("-0")
    made = "This page is made from the comments of [values.yaml](values.yaml) by `make charts-docs`."
    parts = [
        f"# {chart}",
        about["description"],
        read(chart).intro,
        f"Chart {about['version']}, for release {about['appVersion']} and Kubernetes {oldest}. {made}",
        "## Values",
        *_tables(read(chart)),
    ]
    return "\n\n".join(parts) + "\n"


def _tables(file: ValuesFile) -> Iterator[str]:
    yield _table(value for value in file.values if not value.children)
    for value in file.values:
        if value.children:
            yield f"### {value.name}"
            if value.text:
                yield value.text
            yield _table(_rows(value.children))


def _rows(values: Iterable[Value]) -> Iterator[Value]:
    """Leaves, and groups that say something of themselves before them."""
    for value in values:
        if not value.children or value.text:
            yield value
        yield from _rows(value.children)


def _table(values: Iterable[Value]) -> str:
    rows = "\n".join(_row(value) for value in values)
    return f"| value | default | allowed | |\n|---|---|---|---|\n{rows}"


def _row(value: Value) -> str:
    cells = (f"`{value.name}`", "" if value.children else _default(value.default), _allowed(value), value.text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(default: Any) -> str:
    empty = default is None or default in ("", [], {})
    return "" if empty else f"`{default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)}`"


def _allowed(value: Value) -> str:
    given = value.schema
    if value.children:
        return ""
    if "enum" in given:
        return " ".join(f"`{one}`" for one in given["enum"] if one != "")
    if isinstance(value.default, bool):
        return "`true` `false`"
    least, most = given.get("minimum"), given.get("maximum")
    if least is not None:
        return f"{least} to {most}" if most is not None else f"{least} or more"
    return SHAPES[given["shape"]].words if "shape" in given else ""


def main() -> None:
    """Write them all."""
    for chart in NAMES:
        (CHARTS / chart / SCHEMA).write_text(schema(chart), encoding="utf-8")
        (CHARTS / chart / README).write_text(readme(chart), encoding="utf-8")


if __name__ == "__main__":
    main()
