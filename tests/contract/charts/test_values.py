"""Each chart's schema and README follow from its values' comments, and refuse what is mistyped."""

import re
from collections.abc import Iterable
from typing import Any

import helm_python as helm
import pytest
import yaml

from tests.contract.charts import documents
from tests.contract.charts.conftest import Refuse
from tests.contract.charts.rendering import Charts, over
from tests.contract.charts.scenarios import of
from tests.contract.charts.shapes import SHAPES
from tests.contract.charts.values import CHARTS, NAMES, Value, read

_PROJECT = CHARTS.parent / "pyproject.toml"


@pytest.mark.parametrize("chart", NAMES)
def test_the_schema_is_in_step(chart: str) -> None:
    """Run `make charts-docs` after a change."""
    assert (CHARTS / chart / documents.SCHEMA).read_text(encoding="utf-8") == documents.schema(chart)


@pytest.mark.parametrize("chart", NAMES)
def test_the_readme_is_in_step(chart: str) -> None:
    """Run `make charts-docs` after a change."""
    assert (CHARTS / chart / documents.README).read_text(encoding="utf-8") == documents.readme(chart)


@pytest.mark.parametrize("chart", NAMES)
def test_the_release_is_this_one(chart: str) -> None:
    """A chart's `appVersion` is the version of pyproject.toml: its images are of the same commit."""
    about = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text(encoding="utf-8"))
    assert f'\nversion = "{about["appVersion"]}"\n' in _PROJECT.read_text(encoding="utf-8")


def test_charts_have_one_version() -> None:
    """They are released together, and the example asks for none that is newer."""
    about = [yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text(encoding="utf-8")) for chart in NAMES]
    assert len({each["version"] for each in about}) == 1
    assert about[-1]["dependencies"][0]["version"] == f">={about[0]['version']}-0"


@pytest.mark.parametrize("chart", NAMES)
def test_links_of_the_readme_lead_somewhere(chart: str) -> None:
    """To files of the repository, and to headings of the guide."""
    text = (CHARTS / chart / documents.README).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)(?:#([^)]+))?\)", text)
    assert links
    for path, heading in links:
        page = CHARTS / chart / path
        assert page.exists(), path
        if heading:
            titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_shape_is_used() -> None:
    """None is kept that no value has."""
    used = {leaf.schema.get("shape") for chart in NAMES for leaf in read(chart).leaves()}
    assert SHAPES.keys() - used == set()


def _groups(values: tuple[Value, ...]) -> list[Value]:
    return [group for value in values if value.children for group in (value, *_groups(value.children))]


def _mistyped(path: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {"mistyped": 1}
    for name in reversed(path):
        values = {name: values}
    return values


_GROUPS = [()] + [group.path for group in _groups(read("billing-writer").values)]
_SIDECAR_GROUPS = [()] + [group.path for group in _groups(read("billing-sidecar").values)]


@pytest.mark.parametrize("path", _GROUPS, ids=".".join)
def test_a_mistyped_value_is_refused(charts: Charts, path: tuple[str, ...]) -> None:
    """On every level, and the message has its name."""
    least = of("billing-writer", "minimal").values
    with pytest.raises(helm.HelmValuesError, match="'mistyped' not allowed") as caught:
        charts.chart("billing-writer").validate_schema(over(least, _mistyped(path)))
    assert f"at '{''.join(f'/{name}' for name in path)}'" in str(caught.value)


@pytest.mark.parametrize("path", _SIDECAR_GROUPS, ids=".".join)
def test_a_mistyped_value_of_a_sidecar_is_refused(charts: Charts, path: tuple[str, ...]) -> None:
    """Also in the values of an app that depends on it."""
    least = of("example-app", "minimal").values
    with pytest.raises(helm.HelmValuesError, match="'mistyped' not allowed") as caught:
        charts.chart("example-app").validate_schema(over(least, {"billing-sidecar": _mistyped(path)}))
    assert f"billing-sidecar:\n- at '{''.join(f'/{name}' for name in path)}'" in str(caught.value)


def _without(paths: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """Values that take these away."""
    values: dict[str, Any] = {}
    for path in paths:
        place = values
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = None
    return values


def _required(chart: str) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Leaves, and groups: all but settings, whose default is the process's own, and what may be null by its type."""
    file = read(chart)
    leaves = [
        leaf for leaf in file.leaves() if leaf.path[0] != "settings" and "null" not in leaf.schema.get("type", ())
    ]
    return [leaf.path for leaf in leaves], [group.path for group in _groups(file.values)]


@pytest.mark.parametrize("chart", ["billing-writer", "billing-sidecar"])
def test_a_default_cannot_be_taken_away(charts: Charts, chart: str) -> None:
    """A null would leave no limit, every port open, a probe without patience: it is refused, with its name."""
    least = of("billing-writer" if chart == "billing-writer" else "example-app", "minimal")
    leaves, groups = _required(chart)
    depths = {len(path) for path in groups}
    for paths in (leaves, *([path for path in groups if len(path) == depth] for depth in depths)):
        taken = _without(paths)
        values = over(least.values, taken if chart == "billing-writer" else {"billing-sidecar": taken})
        with pytest.raises(helm.HelmValuesError) as caught:
            charts.chart(least.chart).validate_schema(values)
        for *above, name in paths:
            place = "".join(f"/{each}" for each in above)
            assert re.search(rf"^ *- at '{place}': missing propert(y|ies) .*'{name}'", str(caught.value), re.MULTILINE)


def test_a_setting_may_be_null(charts: Charts) -> None:
    """Then it is the process's own default, as where it is empty; so may ids that the cluster gives."""
    settings = {leaf.path[1]: None for leaf in read("billing-writer").leaves() if leaf.path[0] == "settings"}
    least = of("billing-writer", "minimal").values
    rendering = charts.render("billing-writer", over(least, {"settings": settings}))
    assert rendering.manifests == charts.render("billing-writer", least).manifests


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"secrets": {"DATABASE_URL": "postgresql://billing:test-password@postgres/billing"}}, "/secrets/DATABASE_URL"),
        ({"secrets": {"ADMIN_API_KEY": {"value": "test-admin"}}}, "'value' not allowed"),
        ({"image": {"tag": "latest"}}, "/image/tag"),
        ({"image": {"repository": "registry.example.com/billing:1"}}, "/image/repository"),
        ({"security": {"runAsUser": 0}}, "/security/runAsUser"),
        ({"resources": {"limits": None}}, "'limits'"),
        ({"resources": {"limits": {"memory": None}}}, "'memory'"),
        ({"replicas": 0}, "/replicas"),
        ({"networkPolicy": {"postgres": {"ports": []}}}, "/networkPolicy/postgres/ports"),
        ({"probes": {"liveness": {"path": "/ready"}}}, "'path' not allowed"),
        ({"extraEnv": [{"name": "A", "value": "1", "valueFrom": {}}]}, "/extraEnv/0"),
        ({"backup": {"schedule": "daily"}}, "/backup/schedule"),
        ({"ingress": {"hosts": [{"host": "example.com", "paths": ["/"]}]}}, "/ingress/hosts/0/paths/0"),
    ],
)
def test_what_must_not_be_is_refused(refused: Refuse, values: dict[str, Any], named: str) -> None:
    """A secret as a value, root, a moving tag, no limit of memory, a liveness that asks the database, and so on."""
    assert named in refused(**values)


def test_values_of_a_chart_above_are_let_in(charts: Charts) -> None:
    """`global` is Helm's own, so each chart can be a dependency of another."""
    least = of("billing-writer", "minimal").values
    assert charts.render("billing-writer", over(least, {"global": {"region": "eu"}})).all("Deployment")
