"""How charts are fetched and packaged; the one line itself is held in test_guide.py."""

from pathlib import Path

import helm_python as helm
import pytest

from tests.contract.charts.rendering import Charts


def test_the_example_is_built_from_beside_it(charts: Charts) -> None:
    """`helm dependency build` finds the library in this repository, without a network."""
    [dependency] = helm.dependency_list(charts.folder / "example-app")
    assert dependency["name"] == "billing-sidecar"
    assert dependency["repository"] == "file://../billing-sidecar"
    assert dependency["status"] == "ok"


@pytest.mark.parametrize("chart", ["billing-writer", "billing-sidecar", "example-app"])
def test_each_is_packaged(charts: Charts, chart: str, tmp_path: Path) -> None:
    """With what it needs, and without what is only for tests."""
    archive = helm.package(charts.folder / chart, destination=tmp_path)
    with helm.Chart.load(archive) as packaged:
        names = {each["name"] for each in packaged.files}
        assert packaged.schema is not None
    assert "README.md" in names
    assert not any(name.startswith("ci/") for name in names)
    assert ("files/alerts.yaml" in names) == (chart == "billing-writer")
