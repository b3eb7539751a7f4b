"""The autoscaler and the disruption budget: how many writers there are, and how many may be missing."""

import pytest

from tests.contract.charts.conftest import Refuse, Render
from tests.contract.charts.rendering import Charts
from tests.contract.charts.scenarios import WRITERS


def test_an_autoscaler_alone_counts_writers(charts: Charts) -> None:
    """Where there is one the Deployment names no number, so an upgrade does not undo what it chose."""
    for scenario in WRITERS:
        rendering = charts.render(scenario.chart, scenario.values)
        scaled = len(rendering.all("HorizontalPodAutoscaler"))
        assert ("replicas" in rendering.one("Deployment")["spec"]) == (scaled == 0), scenario


def test_it_scales_the_deployment(writer: Render) -> None:
    """Between the two bounds, by CPU, and slowly down."""
    rendering = writer(autoscaling={"enabled": True, "minReplicas": 3, "maxReplicas": 9})
    spec = rendering.one("HorizontalPodAutoscaler")["spec"]
    deployment = rendering.one("Deployment")
    assert spec["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"], "kind": "Deployment", "name": deployment["metadata"]["name"],
    }  # fmt: skip
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    assert [each["resource"]["name"] for each in spec["metrics"]] == ["cpu"]
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_other_metrics_may_count(writer: Render) -> None:
    """Memory and one's own beside CPU, or in its place."""
    own = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "5"}}}
    values = {"enabled": True, "targetCPU": 0, "targetMemory": 80, "metrics": [own]}
    metrics = writer(autoscaling=values).one("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metrics[0]["resource"] == {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}}
    assert metrics[1:] == [own]


def test_cpu_that_counts_is_requested(writer: Render) -> None:
    """Utilization is of the request: every container of the pod has one."""
    containers = writer(autoscaling={"enabled": True}).one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert all("cpu" in each["resources"]["requests"] for each in containers)


def test_an_autoscaler_that_cannot_is_refused(refused: Refuse) -> None:
    """Bounds the wrong way round, or nothing to go by."""
    said = refused(autoscaling={"enabled": True, "minReplicas": 5, "maxReplicas": 3, "targetCPU": 0})
    assert "autoscaling.minReplicas is above autoscaling.maxReplicas" in said
    assert "autoscaling has nothing to go by" in said


@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_a_drain_goes_on(writer: Render, replicas: int) -> None:
    """One writer may go at a time, also where it is the only one."""
    spec = writer(replicas=replicas).one("PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == 1
    assert "minAvailable" not in spec
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize(
    ("replicas", "budget"),
    [
        (1, {"minAvailable": 1}),
        (2, {"minAvailable": 2}),
        (2, {"minAvailable": "51%"}),
        (3, {"minAvailable": "67%"}),
        (3, {"minAvailable": "100%"}),
        (2, {"maxUnavailable": 0}),
        (2, {"maxUnavailable": "0%"}),
    ],
)
def test_a_budget_that_blocks_every_drain_is_refused(refused: Refuse, replicas: int, budget: dict[str, object]) -> None:
    """Kubernetes rounds a share up: two thirds and a little of three writers are three."""
    assert "blocks every drain of a node" in refused(replicas=replicas, podDisruptionBudget=budget)


@pytest.mark.parametrize(
    ("replicas", "budget"),
    [
        (2, {"minAvailable": 1}),
        (2, {"minAvailable": "50%"}),
        (3, {"minAvailable": "66%"}),
        (2, {"maxUnavailable": "1%"}),
    ],
)
def test_a_budget_that_lets_one_go_is_taken(writer: Render, replicas: int, budget: dict[str, object]) -> None:
    """As a number or a share."""
    spec = writer(replicas=replicas, podDisruptionBudget=budget).one("PodDisruptionBudget")["spec"]
    assert spec.items() >= budget.items()
    assert len(spec.keys() & {"minAvailable", "maxUnavailable"}) == 1


def test_the_least_of_an_autoscaler_counts(refused: Refuse) -> None:
    """A budget is held against how few writers there may be."""
    values = {"enabled": True, "minReplicas": 2, "maxReplicas": 9}
    assert "of 2 writers blocks" in refused(autoscaling=values, podDisruptionBudget={"minAvailable": 2})


def test_a_budget_is_for_writers(writer: Render) -> None:
    """It selects their pods, and can be left out."""
    rendering = writer()
    selector = rendering.one("PodDisruptionBudget")["spec"]["selector"]
    assert selector == rendering.one("Deployment")["spec"]["selector"]
    assert writer(podDisruptionBudget={"enabled": False}).all("PodDisruptionBudget") == []
