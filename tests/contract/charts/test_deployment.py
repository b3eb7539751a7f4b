"""The writers' Deployment."""

from typing import Any

import pytest

from tests.contract.charts.conftest import Refuse, Render
from tests.contract.charts.rendering import Charts, Manifest, Rendering
from tests.contract.charts.scenarios import WRITERS

_SELECTOR = {
    "app.kubernetes.io/name": "billing-writer",
    "app.kubernetes.io/instance": "prod",
    "app.kubernetes.io/component": "writer",
}
_SHUTDOWN_SECONDS = 15
"""Of a writer: connections 3, events in hand 5, last words 3, and spans that are still to be sent."""


def _spec(rendering: Rendering) -> Manifest:
    spec: Manifest = rendering.one("Deployment")["spec"]
    return spec


def _pod(rendering: Rendering) -> Manifest:
    pod: Manifest = _spec(rendering)["template"]["spec"]
    return pod


def _writer(rendering: Rendering) -> Manifest:
    [container] = _pod(rendering)["containers"]
    found: Manifest = container
    return found


def _checksum(rendering: Rendering) -> str:
    checksum: str = _spec(rendering)["template"]["metadata"]["annotations"]["checksum/config"]
    return checksum


def test_selectors_are_the_same_for_ever(charts: Charts) -> None:
    """No value changes what a Deployment selects by: Kubernetes refuses such an upgrade."""
    for scenario in WRITERS:
        deployment = charts.render(scenario.chart, scenario.values).one("Deployment")
        assert deployment["spec"]["selector"]["matchLabels"] == _SELECTOR
        assert deployment["spec"]["template"]["metadata"]["labels"].items() >= _SELECTOR.items()


def test_labels_of_ones_own_do_not_change_selectors(writer: Render) -> None:
    """Labels for pods and for everything stand beside ours, which win."""
    own = {"app.kubernetes.io/name": "other", "team": "payments"}
    labels = _spec(writer(podLabels=own))["template"]["metadata"]["labels"]
    assert (labels["app.kubernetes.io/name"], labels["team"]) == ("billing-writer", "payments")
    common = writer(commonLabels=own)
    assert all(each["metadata"]["labels"]["team"] == "payments" for each in common.manifests)
    assert _spec(common)["selector"]["matchLabels"] == _SELECTOR


def test_capacity_is_kept_while_writers_are_replaced(writer: Render) -> None:
    """No writer ends before another one was ready for a while."""
    spec = _spec(writer())
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert spec["minReadySeconds"] > 0
    assert spec["replicas"] == 2


@pytest.mark.parametrize("surge", [0, "0%"])
def test_an_upgrade_can_begin(refused: Refuse, surge: object) -> None:
    """With nobody missing there must be room for one more."""
    assert "maxSurge" in refused(maxSurge=surge)


def test_liveness_does_not_ask_the_database(writer: Render) -> None:
    """A writer whose database is away is not ready, and is not killed for it."""
    container = _writer(writer())
    assert container["livenessProbe"]["httpGet"] == {"path": "/live", "port": "http"}
    assert container["startupProbe"]["httpGet"] == {"path": "/live", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "http"}


def test_readiness_waits_longer_than_the_writer_does(writer: Render, refused: Refuse) -> None:
    """The writer gives its database two seconds; a probe that is shorter would never hear why."""
    assert _writer(writer())["readinessProbe"]["timeoutSeconds"] > 2
    assert "/probes/readiness/timeoutSeconds" in refused(probes={"readiness": {"timeoutSeconds": 2}})


def test_a_pod_has_time_to_end(writer: Render, refused: Refuse) -> None:
    """Load balancers leave it first, then the writer gives back what it holds, then it may be killed."""
    rendering = writer()
    stop = _writer(rendering)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert _pod(rendering)["terminationGracePeriodSeconds"] >= stop + _SHUTDOWN_SECONDS
    said = refused(preStopSeconds=40)
    assert "terminationGracePeriodSeconds must be 55 or more" in said


def test_the_pause_before_the_end_is_of_the_clusters_version(writer: Render) -> None:
    """Before 1.30 Kubernetes cannot sleep itself, so the image's Python does; 0 leaves it out."""
    old = _writer(writer(kubeVersion="1.29.8-gke.100"))["lifecycle"]["preStop"]
    assert old == {"exec": {"command": ["python", "-c", "import time; time.sleep(5)"]}}
    assert "lifecycle" not in _writer(writer(preStopSeconds=0))


@pytest.mark.parametrize(
    "changed",
    [{"settings": {"STRIPE_MAX_RPS": 7}}, {"reconcile": {"enabled": True}}, {"listenHost": "[::]"}],
    ids=["setting", "reconcile", "address"],
)
def test_pods_restart_where_settings_change(writer: Render, changed: dict[str, Any]) -> None:
    """They are read once, at the start."""
    assert _checksum(writer(**changed)) != _checksum(writer())


def test_pods_stay_where_settings_stay(writer: Render) -> None:
    """More writers, or an Ingress, restart nobody."""
    more = writer(replicas=5, ingress={"enabled": True, "hosts": [{"host": "billing.example.com"}]})
    assert _spec(more)["template"] == _spec(writer())["template"]


def test_writers_are_spread(writer: Render) -> None:
    """Over nodes and zones as well as can be, by the pods' own labels; or as one says."""
    spread = _pod(writer())["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert all(each["labelSelector"]["matchLabels"] == _SELECTOR for each in spread)
    assert all(each["whenUnsatisfiable"] == "ScheduleAnyway" for each in spread)
    own = [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]
    assert _pod(writer(topologySpreadConstraints=own))["topologySpreadConstraints"] == own


def test_where_it_runs_can_be_said(writer: Render) -> None:
    """Nodes, tolerations, affinity, priority, names of hosts, pull secrets."""
    said = {
        "nodeSelector": {"pool": "services"},
        "tolerations": [{"key": "pool", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["postgres"]}],
        "priorityClassName": "production",
    }
    pod = _pod(writer(**said, image={"pullSecrets": ["registry"]}))
    assert pod.items() >= said.items()
    assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_users_can_be_left_to_the_cluster(writer: Render) -> None:
    """With null no id is asked for; root is refused still."""
    context = _pod(writer(security={"runAsUser": None, "runAsGroup": None, "fsGroup": None}))["securityContext"]
    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert _pod(writer())["securityContext"]["runAsUser"] == 10001


def test_services_are_no_variables(writer: Render) -> None:
    """A Service called `redis` would else be in the environment, beside settings."""
    assert _pod(writer())["enableServiceLinks"] is False


def test_certificates_are_mounted(writer: Render) -> None:
    """Read-only, for the group alone: libpq refuses a private key that others may read."""
    rendering = writer(tls={"postgres": {"existingSecret": "pg"}, "redis": {"existingSecret": "redis"}})
    mounts = {each["name"]: each for each in _writer(rendering)["volumeMounts"]}
    assert mounts["tls-postgres"] == {
        "name": "tls-postgres", "mountPath": "/etc/billing/tls/postgres", "readOnly": True,
    }  # fmt: skip
    assert mounts["tls-redis"]["mountPath"] == "/etc/billing/tls/redis"
    volumes = {each["name"]: each for each in _pod(rendering)["volumes"]}
    assert volumes["tls-postgres"]["secret"] == {"secretName": "pg", "defaultMode": 0o440}
    assert _pod(rendering)["securityContext"]["fsGroup"] == 10001


def test_secrets_come_by_reference(writer: Render) -> None:
    """Each from the Secret that is named for it, else from the common one; without a key it is left out."""
    rendering = writer(secrets={"REDIS_URL": {"existingSecret": "redis", "key": "url"}})
    references = {
        each["name"]: (each["valueFrom"]["secretKeyRef"]["name"], each["valueFrom"]["secretKeyRef"]["key"])
        for each in _writer(rendering)["env"]
    }
    assert references == {
        "DATABASE_URL": ("billing", "DATABASE_URL"),
        "REDIS_URL": ("redis", "url"),
        "STRIPE_SECRET_KEY": ("billing", "STRIPE_SECRET_KEY"),
        "STRIPE_WEBHOOK_SECRET": ("billing", "STRIPE_WEBHOOK_SECRET"),
        "ADMIN_API_KEY": ("billing", "ADMIN_API_KEY"),
    }
    assert "DATABASE_READ_URL" in {
        e["name"] for e in _writer(writer(secrets={"DATABASE_READ_URL": {"key": "r"}}))["env"]
    }


def test_missing_secrets_are_named_at_once(charts: Charts) -> None:
    """Nothing given: every Secret that is missing, and the image, in one message."""
    with pytest.raises(Exception, match=r"image\.repository is not set") as caught:
        charts.render("billing-writer", {})
    for name in ("DATABASE_URL", "REDIS_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "ADMIN_API_KEY"):
        assert f"secrets.{name}.existingSecret" in str(caught.value)


def test_webhooks_need_their_secret(writer: Render, refused: Refuse) -> None:
    """Only a writer that polls does without."""
    without = {"STRIPE_WEBHOOK_SECRET": {"key": ""}}
    assert "secrets.STRIPE_WEBHOOK_SECRET.key is empty" in refused(secrets=without)
    polling = writer(secrets=without, settings={"STRIPE_POLL": "2s"})
    assert "STRIPE_WEBHOOK_SECRET" not in {each["name"] for each in _writer(polling)["env"]}


def test_an_image_is_named_by_its_digest(charts: Charts, writer: Render) -> None:
    """Else by the tag, else by the chart's release."""
    digest = f"sha256:{'0' * 64}"
    assert _writer(writer(image={"digest": digest, "tag": "1.2.3"}))["image"].endswith(f"billing-writer@{digest}")
    assert _writer(writer(image={"tag": "1.2.3"}))["image"].endswith("billing-writer:1.2.3")
    release = charts.chart("billing-writer").metadata["appVersion"]
    assert _writer(writer())["image"] == f"registry.example.com/billing-writer:{release}"


def test_long_names_are_cut(charts: Charts, writer: Render) -> None:
    """The longest name that Helm allows leaves room for what a CronJob's name may have, 52 characters."""
    chart = charts.chart("billing-writer")
    values = {
        "image": {"repository": "billing"}, "secrets": {"existingSecret": "billing"},
        "backup": {"enabled": True}, "reconcile": {"enabled": True},
    }  # fmt: skip
    files = chart.render(values, name="n" * 53, namespace="billing")
    names = [each["metadata"]["name"] for each in Rendering(files).manifests if each["kind"] == "CronJob"]
    assert len(names) == 2
    assert max(map(len, names)) <= 52
    assert writer(fullnameOverride="billing").one("Deployment")["metadata"]["name"] == "billing"
