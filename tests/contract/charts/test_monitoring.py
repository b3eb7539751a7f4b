"""What Prometheus's operator and Grafana are given."""

import json

import yaml

from tests.contract.charts.conftest import Refuse, Render
from tests.contract.charts.rendering import Manifest
from tests.contract.charts.values import CHARTS

_FILES = CHARTS / "billing-writer" / "files"


def _alerts() -> list[Manifest]:
    groups: list[Manifest] = yaml.safe_load((_FILES / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return groups


def test_nothing_is_made_unasked(writer: Render) -> None:
    """A cluster without the operator does not know its resources."""
    rendering = writer()
    assert not {each["apiVersion"] for each in rendering.manifests} & {"monitoring.coreos.com/v1"}
    assert len(rendering.all("ConfigMap")) == 1


def test_every_writer_is_scraped(writer: Render) -> None:
    """The monitor finds the Service by its labels, in the release's namespace, and its port by its name."""
    rendering = writer(monitoring={"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})
    monitor, service = rendering.one("ServiceMonitor"), rendering.one("Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["path"] == "/metrics"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_alerts_are_those_of_the_file(writer: Render) -> None:
    """Each rule as it stands there, with templates for Prometheus untouched by Helm."""
    rule = writer(monitoring={"prometheusRule": {"enabled": True}}).one("PrometheusRule")
    assert rule["spec"]["groups"] == _alerts()


def test_alerts_can_be_left_out(writer: Render) -> None:
    """By name; the others stay."""
    first = next(rule["alert"] for group in _alerts() for rule in group["rules"] if "alert" in rule)
    rule = writer(monitoring={"prometheusRule": {"enabled": True, "disabledAlerts": [first]}}).one("PrometheusRule")
    given = [each.get("alert") for group in rule["spec"]["groups"] for each in group["rules"]]
    assert first not in given
    assert len(given) == sum(len(group["rules"]) for group in _alerts()) - 1


def test_an_alert_that_is_not_there_cannot_be_left_out(refused: Refuse) -> None:
    """A mistyped name would leave it on."""
    said = refused(monitoring={"prometheusRule": {"enabled": True, "disabledAlerts": ["BillingMistyped"]}})
    assert "there is no alert BillingMistyped" in said


def test_alerts_get_labels_and_runbooks(writer: Render) -> None:
    """Labels of one's own win; a path of this repository becomes an address."""
    values = {
        "enabled": True,
        "alertLabels": {"team": "payments"},
        "runbookBaseUrl": "https://git.example.com/billing/",
    }
    rule = writer(monitoring={"prometheusRule": values}).one("PrometheusRule")
    for group, of_file in zip(rule["spec"]["groups"], _alerts(), strict=True):
        for given, written in zip(group["rules"], of_file["rules"], strict=True):
            if "alert" in written:
                assert given["labels"] == {**written.get("labels", {}), "team": "payments"}
                path = written["annotations"].get("runbook_url")
                assert given["annotations"].get("runbook_url") == (path and f"https://git.example.com/billing/{path}")


def test_grafana_finds_the_dashboard(writer: Render) -> None:
    """As a ConfigMap with the loader's label, the file as it is."""
    values = {"enabled": True, "annotations": {"grafana_folder": "Billing"}}
    dashboard = writer(monitoring={"dashboard": values}).one("ConfigMap", "-dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert dashboard["metadata"]["annotations"] == {"grafana_folder": "Billing"}
    [(name, text)] = dashboard["data"].items()
    assert name.endswith(".json")
    assert json.loads(text) == json.loads((_FILES / "dashboard.json").read_text(encoding="utf-8"))


def test_the_dashboard_fits_into_a_configmap(writer: Render) -> None:
    """Also by `kubectl apply`, which keeps it in an annotation once more: those have 256 KiB."""
    dashboard = writer(monitoring={"dashboard": {"enabled": True}}).one("ConfigMap", "-dashboard")
    assert sum(len(text.encode()) for text in dashboard["data"].values()) < 250_000
