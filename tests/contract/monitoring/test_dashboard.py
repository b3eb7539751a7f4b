"""The dashboard is as its panels say, fits its grid, and asks for what there is."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from tests.contract.monitoring import dashboard, promtool, rules
from tests.contract.monitoring.panels import ROWS

PANELS: Final = [panel for row in ROWS for panel in row.panels]
VARIABLES: Final = re.compile(r"\$\{?([a-z_]+)\}?")


@pytest.fixture(scope="module")
def written() -> Any:
    """The file as Grafana reads it."""
    return json.loads(dashboard.FILE.read_text(encoding="utf-8"))


def _expressions() -> list[str]:
    return [expression for panel in PANELS for expression in panel.queries.values()]


def test_the_file_is_as_its_panels() -> None:
    """Run `make dashboard` after a change."""
    assert dashboard.FILE.read_text(encoding="utf-8") == dashboard.rendered()


def test_panels_fit_the_grid(written: Any) -> None:
    """No two panels have one number or lie over each other, and none goes beyond the 24 columns."""
    panels = written["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= dashboard.WIDTH
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_explains_itself(written: Any) -> None:
    """A title of its own in its row, a description, a unit, thresholds that rise, and queries with names."""
    for panel in written["panels"]:
        if panel["type"] == "row":
            continue
        assert len(panel["description"]) > 10
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in {"none", "s", "reqps", "ops", "percentunit", "bytes"}
        first, *steps = [step["value"] for step in defaults["thresholds"]["steps"]]
        assert first is None
        assert all(a < b for a, b in pairwise(steps))
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_titles_are_given_once() -> None:
    """Nobody has to ask which of two panels of one name is meant."""
    titles = [panel.title for panel in PANELS]
    assert sorted(set(titles)) == sorted(titles)


def test_variables_are_declared(written: Any) -> None:
    """What stands behind a $ is a variable of the dashboard, or Grafana's own."""
    declared = {variable["name"] for variable in written["templating"]["list"]}
    assert declared == {"datasource", "project", "instance"}
    used = {name for expression in _expressions() for name in VARIABLES.findall(expression)}
    assert used - declared == {"__rate_interval"}


async def test_panels_ask_for_what_there_is() -> None:
    """Each metric is one of the code's, with the labels that are asked of it."""
    known = await rules.known()
    found = {expression: list(rules.faults(expression, known)) for expression in _expressions()}
    assert {expression: faults for expression, faults in found.items() if faults} == {}


async def test_every_metric_is_shown() -> None:
    """What the code tells stands somewhere on the dashboard."""
    text = "\n".join(_expressions())
    named = {match.group(1).removesuffix("_bucket").removesuffix("_count") for match in rules.SELECTOR.finditer(text)}
    known = {re.sub("_(bucket|count|sum)$", "", name) for name in await rules.known()}
    assert sorted(known - named) == []


@pytest.mark.needs("promtool")
def test_prometheus_understands_every_panel(tmp_path: Path) -> None:
    """Prometheus parses each expression, with values in the place of variables."""
    promtool.check_expressions((dashboard.with_values(expression) for expression in _expressions()), tmp_path)
