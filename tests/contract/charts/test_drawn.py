"""Whatever a schema takes renders to what Kubernetes takes, or is refused in words of ours."""

import json
import os
import re
from collections.abc import Sequence
from typing import Any, Final

import helm_python as helm
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.charts import kubernetes, references, rules, scenarios
from tests.contract.charts.documents import SCHEMA
from tests.contract.charts.drawing import drawn
from tests.contract.charts.rendering import Charts, over
from tests.contract.charts.shapes import SHAPES
from tests.contract.charts.values import CHARTS, read

Path = tuple[str, ...]

_DRAWS: Final = int(os.environ.get("DRAWS", "16"))
_SUITE: Final = settings(
    max_examples=_DRAWS, derandomize=_DRAWS < 100, suppress_health_check=list(HealthCheck), database=None
)
_IN_WORDS: Final = ("are wrong:", "disabledAlerts: there is no alert")
_CHOSEN: Final = "requests more"
"""What nobody can refuse but who gives the values: amounts that do not fit each other."""


def _leaves(chart: str) -> list[tuple[Path, st.SearchStrategy[Any]]]:
    """Each value, and what may be drawn for it, where its schema says enough."""
    whole = json.loads((CHARTS / chart / SCHEMA).read_text(encoding="utf-8"))
    found = []
    for leaf in read(chart).leaves():
        schema = whole
        for name in leaf.path:
            schema = schema["properties"][name]
        strategy = drawn(schema)
        if strategy is not None:
            found.append((leaf.path, strategy))
    return found


def _values(leaves: Sequence[tuple[Path, st.SearchStrategy[Any]]]) -> st.SearchStrategy[list[tuple[Path, Any]]]:
    """Many of them at once, at values of their own."""
    each = [st.tuples(st.just(path), strategy) for path, strategy in leaves]
    return st.lists(st.one_of(each), min_size=4, max_size=24, unique_by=lambda pair: pair[0])


def _nested(pairs: Sequence[tuple[Path, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for path, value in pairs:
        nested = value
        for name in reversed(path):
            nested = {name: nested}
        values = over(values, nested)
    return values


def _faults(charts: Charts, chart: str, values: dict[str, Any]) -> list[str]:
    try:
        manifests = charts.render(chart, values).manifests
    except helm.HelmError as error:
        return [] if any(words in str(error) for words in _IN_WORDS) else [str(error)]
    found = [fault for each in manifests for fault in kubernetes.faults(each, kubernetes.VERSIONS[-1])]
    found += [*rules.faults(manifests), *references.faults(manifests)]
    return [fault for fault in found if _CHOSEN not in fault]


@pytest.mark.timeout(600)
@_SUITE
@given(drawn=_values(_leaves("billing-writer")))
def test_the_writer_renders_whatever_is_taken(charts: Charts, drawn: list[tuple[Path, Any]]) -> None:
    """Texts that YAML reads as numbers, bounds of numbers, everything switched on and off."""
    least = scenarios.of("billing-writer", "minimal").values
    assert _faults(charts, "billing-writer", over(least, _nested(drawn))) == []


@pytest.mark.timeout(600)
@_SUITE
@given(drawn=_values(_leaves("billing-sidecar")))
def test_a_sidecar_renders_whatever_is_taken(charts: Charts, drawn: list[tuple[Path, Any]]) -> None:
    """The same in an app's chart."""
    least = scenarios.of("example-app", "minimal").values
    assert _faults(charts, "example-app", over(least, {"billing-sidecar": _nested(drawn)})) == []


_CHOICE: Final = {"enum", "anyOf"}


def _texts(chart: str, text: str) -> dict[str, Any]:
    """Every value that is a text, and may be this one."""
    found = []
    for leaf in read(chart).leaves():
        schema = SHAPES[leaf.schema["shape"]].schema if "shape" in leaf.schema else leaf.schema
        fits = re.search(schema.get("pattern", ""), text) is not None
        if (
            isinstance(leaf.default, str)
            and fits
            and not _CHOICE & schema.keys()
            and schema.get("type") in {None, "string"}
        ):
            found.append((leaf.path, text))
    return _nested(found)


_EVERYTHING: Final = {
    "ingress": {"enabled": True, "hosts": [{"host": "billing.example.com"}]},
    "backup": {"enabled": True},
    "reconcile": {"enabled": True},
    "networkPolicy": {"enabled": True},
}


@pytest.mark.parametrize("text", ["yes", "null", "1e3", "10"])
def test_texts_stay_texts(charts: Charts, text: str) -> None:
    """What YAML would read as a number, a truth or nothing is a text still, in every value at once."""
    least = over(scenarios.of("billing-writer", "minimal").values, _EVERYTHING)
    asked = _texts("billing-writer", text)
    assert len(list(asked)) > 5
    assert _faults(charts, "billing-writer", over(least, asked)) == []
    app = scenarios.of("example-app", "minimal").values
    assert _faults(charts, "example-app", over(app, {"billing-sidecar": _texts("billing-sidecar", text)})) == []


def test_most_values_are_drawn() -> None:
    """Only what is free by its nature is left out: objects of Kubernetes' own."""
    for chart in ("billing-writer", "billing-sidecar"):
        paths = {path for path, _ in _leaves(chart)}
        left_out = [leaf.name for leaf in read(chart).leaves() if leaf.path not in paths]
        assert len(left_out) < len(paths) / 4, left_out
