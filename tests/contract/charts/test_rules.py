"""What must never be rendered is rendered in no scenario; and each rule finds what it is for."""

from copy import deepcopy
from typing import Any

import pytest

from tests.contract.charts import kubernetes, references, rules
from tests.contract.charts.conftest import Render
from tests.contract.charts.rendering import Charts, Manifest, containers, pod_of
from tests.contract.charts.scenarios import ALL, Scenario

_EVERYTHING: dict[str, Any] = {
    "backup": {"enabled": True},
    "reconcile": {"enabled": True},
    "autoscaling": {"enabled": True},
    "networkPolicy": {"enabled": True},
}


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_no_rule_is_broken(charts: Charts, scenario: Scenario) -> None:
    """Secrets by reference, nobody root, nothing without limit or end."""
    assert rules.faults(charts.render(scenario.chart, scenario.values).manifests) == []


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_everything_leads_somewhere(charts: Charts, scenario: Scenario) -> None:
    """Volumes, ports, variables, selectors and names: what the API server refuses beyond fields."""
    assert references.faults(charts.render(scenario.chart, scenario.values).manifests) == []


@pytest.mark.parametrize(
    ("kind", "breaking", "said"),
    [
        ("CronJob", lambda m: m["metadata"].update(name="n" * 53), "is no name"),
        ("Service", lambda m: m["metadata"]["labels"].update(x="a b"), "label x cannot be a b"),
        ("Deployment", lambda m: m["metadata"].update(annotations={"x": 1}), "annotation x is no text"),
        ("Deployment", lambda m: m["spec"]["selector"]["matchLabels"].update(x="y"), "does not select its own pods"),
        ("Deployment", lambda m: _pod(m)["volumes"].append({"name": "x"}), "volume x is mounted nowhere"),
        ("Deployment", lambda m: _pod(m)["volumes"].append({"name": "tmp"}), "volume tmp is there twice"),
        ("Job", lambda m: _container(m)["volumeMounts"].append({"name": "x", "mountPath": "/x"}), "no volume x"),
        ("Job", lambda m: _container(m)["volumeMounts"].append({"name": "tmp", "mountPath": "/tmp"}), "mounted twice"),
        ("Deployment", lambda m: _pod(m).update(initContainers=_pod(m)["containers"]), "writer is there twice"),
        ("Deployment", lambda m: _container(m)["ports"][0].update(name="a-name-too-long-"), "is no name"),
        ("Deployment", lambda m: _container(m)["livenessProbe"]["httpGet"].update(port="x"), "asks a port"),
        ("Job", lambda m: _container(m)["env"].append({"name": "DATABASE_URL", "value": ""}), "is told twice"),
        ("Job", lambda m: _container(m)["env"].insert(0, {"name": "X", "value": "$(DATABASE_URL)"}), "not known there"),
        ("Job", lambda m: _container(m)["resources"]["requests"].update(cpu="1001m"), "more cpu than its limit"),
        ("Deployment", lambda m: _container(m)["envFrom"][0]["configMapRef"].update(name="x"), "no ConfigMap x"),
    ],
)
def test_what_leads_nowhere_is_found(writer: Render, kind: str, breaking: Any, said: str) -> None:
    """Broken on purpose, a resource is found."""
    manifests = deepcopy(writer(**_EVERYTHING).manifests)
    breaking(next(each for each in manifests if each["kind"] == kind))
    assert any(said in fault for fault in references.faults(manifests))


def _container(manifest: Manifest) -> Manifest:
    pod = pod_of(manifest)
    assert pod is not None
    return containers(pod)[0]


def _pod(manifest: Manifest) -> Manifest:
    pod = pod_of(manifest)
    assert pod is not None
    spec: Manifest = pod["spec"]
    return spec


@pytest.mark.parametrize(
    ("kind", "breaking", "said"),
    [
        ("ConfigMap", lambda m: m["data"].update(ADMIN_API_KEY="test-admin"), "ADMIN_API_KEY is plain"),
        ("ConfigMap", lambda m: m["data"].update(X="whsec_example"), "X is plain"),
        ("ConfigMap", lambda m: m.update(kind="Secret"), "a Secret is made of values"),
        ("Deployment", lambda m: _container(m)["env"].append({"name": "DATABASE_URL", "value": "x"}), "is plain"),
        ("Deployment", lambda m: _container(m)["env"].append({"name": "X", "value": "sk_live_x"}), "X is plain"),
        ("Deployment", lambda m: _container(m)["securityContext"].update(runAsUser=0), "may be root"),
        ("Deployment", lambda m: _container(m)["securityContext"].update(runAsNonRoot=False), "may be root"),
        ("Job", lambda m: _container(m)["securityContext"].update(privileged=True), "may gain privileges"),
        ("Job", lambda m: _container(m)["securityContext"].pop("allowPrivilegeEscalation"), "may gain privileges"),
        ("Job", lambda m: _container(m)["securityContext"].pop("capabilities"), "has capabilities"),
        ("CronJob", lambda m: _container(m)["securityContext"].pop("readOnlyRootFilesystem"), "may write to its root"),
        ("CronJob", lambda m: _container(m)["securityContext"].update(seccompProfile={}), "may call anything"),
        ("Deployment", lambda m: _pod(m).update(hostNetwork=True), "has the node's namespaces"),
        ("Deployment", lambda m: _pod(m)["volumes"].append({"name": "x", "hostPath": {}}), "has the node's files"),
        ("Pod", lambda m: _pod(m).pop("automountServiceAccountToken"), "has a token"),
        ("Deployment", lambda m: _container(m)["ports"][0].update(hostPort=80), "has a port of the node"),
        ("Deployment", lambda m: _container(m)["resources"]["limits"].pop("memory"), "has no limits"),
        ("Job", lambda m: _container(m).pop("resources"), "has no limits"),
        ("Deployment", lambda m: _pod(m)["volumes"][0].update(emptyDir={}), "may fill the node"),
        ("Deployment", lambda m: _container(m).update(image="registry.example.com:5000/billing"), "moves"),
        ("Deployment", lambda m: _container(m).update(image="billing:latest"), "moves"),
        ("CronJob", lambda m: m["spec"].update(concurrencyPolicy="Allow"), "may run twice at once"),
        ("CronJob", lambda m: m["spec"].pop("startingDeadlineSeconds"), "has no deadline for its start"),
        ("CronJob", lambda m: m["spec"].pop("failedJobsHistoryLimit"), "no limit to its history"),
        ("CronJob", lambda m: m["spec"].pop("timeZone"), "has no time zone"),
        ("CronJob", lambda m: m["spec"]["jobTemplate"]["spec"].pop("activeDeadlineSeconds"), "may go on for ever"),
        ("Job", lambda m: m["spec"].pop("backoffLimit"), "may go on for ever"),
        ("Job", lambda m: m["metadata"]["annotations"].pop("helm.sh/hook-delete-policy"), "a hook that stays"),
        ("Job", lambda m: m["spec"].pop("ttlSecondsAfterFinished"), "a hook that stays where it fails"),
        ("PodDisruptionBudget", lambda m: m["spec"].update(maxUnavailable=0), "blocks every drain"),
        ("PodDisruptionBudget", lambda m: m["spec"].update(minAvailable="100%"), "blocks every drain"),
        ("PodDisruptionBudget", lambda m: m["spec"].pop("unhealthyPodEvictionPolicy"), "waits for pods"),
        ("Deployment", lambda m: m["spec"]["selector"]["matchLabels"].update({"helm.sh/chart": "x"}), "selects by"),
        ("Deployment", lambda m: m["spec"].update(replicas=2), "undoes what the autoscaler chose"),
        ("Service", lambda m: m.update(kind="ServiceAccount"), "two"),
    ],
)
def test_each_rule_finds_what_it_is_for(writer: Render, kind: str, breaking: Any, said: str) -> None:
    """Broken on purpose, a resource is found, and nothing else is."""
    manifests = deepcopy(writer(**_EVERYTHING).manifests)
    assert rules.faults(manifests) == []
    breaking(next(each for each in manifests if each["kind"] == kind))
    found = rules.faults(manifests)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize("version", kubernetes.VERSIONS)
def test_kubernetes_faults_are_found(writer: Render, version: str) -> None:
    """A field of no release, and one of a wrong type, both of them."""
    [deployment] = deepcopy(writer().all("Deployment"))
    deployment["spec"]["replicass"] = 2
    deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = "http"
    found = kubernetes.faults(deployment, version)
    assert any("replicass" in fault for fault in found)
    assert any("containerPort" in fault for fault in found)


def test_faults_of_the_operators_resources_are_found(writer: Render) -> None:
    """A mistyped field of a ServiceMonitor, which Kubernetes' own schemas do not know."""
    monitor = deepcopy(writer(monitoring={"serviceMonitor": {"enabled": True}}).one("ServiceMonitor"))
    assert kubernetes.faults(monitor, "1.34") == []
    monitor["spec"]["endpoints"][0]["scrape_interval"] = "15s"
    assert any("scrape_interval" in fault for fault in kubernetes.faults(monitor, "1.34"))
