"""The same charts by the `helm` of this machine, an older one say: every scenario comes out alike."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.contract.charts.rendering import NAMESPACE, RELEASE, Charts, Manifest, over
from tests.contract.charts.scenarios import ALL, Scenario, of
from tests.support.tools import TOOLS

pytestmark = pytest.mark.needs("helm")

_TODAY = "1.34.0"


def _helm(*arguments: str, home: Path) -> str:
    program = TOOLS["helm"].find()
    assert program is not None
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    done = subprocess.run([program, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _alike(manifests: list[Manifest]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in manifests)


def _rendered(charts: Charts, scenario: Scenario, home: Path, version: str = _TODAY) -> list[Manifest]:
    arguments = ("--namespace", NAMESPACE, "--values", str(scenario.path), "--kube-version", version)
    text = _helm("template", RELEASE, str(charts.folder / scenario.chart), *arguments, home=home)
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_it_renders_alike(charts: Charts, scenario: Scenario, tmp_path: Path) -> None:
    """Resource for resource."""
    assert _alike(_rendered(charts, scenario, tmp_path)) == _alike(
        charts.render(scenario.chart, scenario.values).manifests
    )


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_it_finds_nothing(charts: Charts, scenario: Scenario, tmp_path: Path) -> None:
    """`helm lint --strict` with each scenario's values."""
    _helm("lint", "--strict", str(charts.folder / scenario.chart), "--values", str(scenario.path), home=tmp_path)


def test_the_clusters_own_version_counts(charts: Charts, tmp_path: Path) -> None:
    """As it does where a value says it."""
    app, writer = of("example-app", "minimal"), of("billing-writer", "minimal")
    old = {"kubeVersion": "1.28.0"}
    assert _alike(_rendered(charts, app, tmp_path, "1.28.0")) == _alike(
        charts.render(app.chart, over(app.values, {"billing-sidecar": old})).manifests
    )
    assert _alike(_rendered(charts, writer, tmp_path, "1.28.0")) == _alike(
        charts.render(writer.chart, over(writer.values, old)).manifests
    )
