"""Each scenario is rendered, linted, and taken by every release of Kubernetes that is supported."""

from typing import Any

import helm_python as helm
import pytest

from tests.contract.charts import kubernetes
from tests.contract.charts.rendering import Charts, over
from tests.contract.charts.scenarios import ALL, Scenario

_NATIVE_SINCE = (1, 29)
_SLEEP_SINCE = (1, 30)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _for(scenario: Scenario, version: str) -> dict[str, Any]:
    """The scenario's values in a cluster of that version; what is rendered alike is asked for alike."""
    writer = scenario.chart == "billing-writer"
    if _parts(version) >= (_SLEEP_SINCE if writer else _NATIVE_SINCE):
        return scenario.values
    old = {"kubeVersion": "1.28.0"}
    return over(scenario.values, old if writer else {"billing-sidecar": {**old, "mode": "auto"}})


def _versions(charts: Charts, scenario: Scenario) -> list[str]:
    """Those that the chart says it is for; one scenario brings a native sidecar of its own."""
    oldest = str(charts.chart(scenario.chart).metadata["kubeVersion"]).removeprefix(">=").removesuffix(".0-0")
    least = _NATIVE_SINCE if scenario.name == "openshift" else _parts(oldest)
    return [version for version in kubernetes.VERSIONS if _parts(version) >= least]


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_kubernetes_takes_it(charts: Charts, scenario: Scenario) -> None:
    """Every field is known, and of its type, in every release; those of Prometheus's operator too."""
    found = []
    for version in _versions(charts, scenario):
        manifests = charts.render(scenario.chart, _for(scenario, version)).manifests
        assert len(manifests) > 1
        found += [fault for manifest in manifests for fault in kubernetes.faults(manifest, version)]
    assert found == []


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_helm_finds_nothing(charts: Charts, scenario: Scenario) -> None:
    """`helm lint --strict` says nothing but that a chart may have an icon."""
    report = helm.lint(charts.folder / scenario.chart, scenario.values, strict=True)
    assert [each["error"] for each in report["messages"] if each["severity"] > 1] == []
    assert report["errors"] == []
