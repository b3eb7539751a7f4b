"""The NetworkPolicies: nobody who is needed is cut off, and nobody else is let in."""

from dataclasses import replace
from typing import Any

import pytest

from tests.contract.charts.conftest import Refuse, Render
from tests.contract.charts.policies import End, allows
from tests.contract.charts.rendering import Charts, Rendering
from tests.contract.charts.scenarios import WRITERS, of

_STRIPE = End(address="54.187.174.169")
_STRIPE_V6 = End(address="2a05:d018::1")
_METADATA = End(address="169.254.169.254")
_DNS = End({"k8s-app": "kube-dns"}, {"kubernetes.io/metadata.name": "kube-system"}, "10.96.0.10")
_POSTGRES = End(namespace={"kubernetes.io/metadata.name": "databases"}, address="10.30.0.5")
_INGRESS = End(namespace={"kubernetes.io/metadata.name": "ingress-nginx"}, address="10.1.0.1")
_PROMETHEUS = End({"app.kubernetes.io/name": "prometheus"}, {"kubernetes.io/metadata.name": "monitoring"}, "10.1.0.2")
_APP = End({"app": "notes"}, {"billing": "yes"}, "10.1.0.3")
_STRANGER = End({"app": "x"}, {"kubernetes.io/metadata.name": "elsewhere"}, "10.1.0.4")
_HERE = {"kubernetes.io/metadata.name": "billing"}
_REDIS = End({"app.kubernetes.io/name": "redis"}, _HERE, "10.1.0.5")


def _pods(rendering: Rendering) -> dict[str, End]:
    """Each pod of the release by its component."""
    labels = [pod["metadata"]["labels"] for _, pod in rendering.pods()]
    return {each["app.kubernetes.io/component"]: End(each, _HERE) for each in labels}


def _policed(
    rendering: Rendering, direction: str, pod: End, other: End, port: int | str, protocol: str = "TCP"
) -> bool:
    return allows(rendering.all("NetworkPolicy"), pod, direction, other, port, protocol)


@pytest.mark.parametrize("scenario", [each for each in WRITERS if "networkPolicy" in each.values], ids=str)
def test_nobody_who_is_needed_is_cut_off(charts: Charts, scenario: Any) -> None:
    """Writers and jobs reach DNS, Postgres, Redis and Stripe; apps and Prometheus reach writers."""
    rendering = charts.render(scenario.chart, scenario.values)
    pods = _pods(rendering)
    for pod in (pods["writer"], pods["migrate"], *([pods["backup"]] if "backup" in pods else [])):
        reached = [(_DNS, 53, "UDP"), (_DNS, 53, "TCP"), (_POSTGRES, 5432, "TCP"), (_REDIS, 6379, "TCP")]
        for other, port, protocol in (*reached, (_STRIPE, 443, "TCP"), (_STRIPE_V6, 443, "TCP")):
            assert _policed(rendering, "Egress", pod, other, port, protocol), (pod, other, port)
    for other in (_APP, _PROMETHEUS):
        assert _policed(rendering, "Ingress", pods["writer"], other, "http")


def test_nothing_else_is_reached(writer: Render) -> None:
    """No other port, and not the node's metadata, which gives away credentials."""
    rendering = writer(networkPolicy={"enabled": True})
    for pod in _pods(rendering).values():
        if pod.labels["app.kubernetes.io/component"] != "test":
            assert not _policed(rendering, "Egress", pod, _METADATA, 443)
            assert not _policed(rendering, "Egress", pod, _METADATA, 80)
            assert not _policed(rendering, "Egress", pod, _STRIPE, 22)
            assert not _policed(rendering, "Egress", pod, _POSTGRES, 5432, "UDP")


def test_nobody_reaches_a_job(writer: Render) -> None:
    """They serve nothing."""
    rendering = writer(
        networkPolicy={"enabled": True},
        backup={"enabled": True},
        restore={"file": "x.dump"},
        reconcile={"enabled": True},
    )
    pods = _pods(rendering)
    assert pods.keys() == {"writer", "migrate", "backup", "restore", "reconcile", "test"}
    for name in ("migrate", "backup", "restore", "reconcile"):
        assert not _policed(rendering, "Ingress", pods[name], _APP, "http")
        assert _policed(rendering, "Egress", pods[name], _POSTGRES, 5432)


def test_only_who_is_named_is_let_in(charts: Charts) -> None:
    """With peers by name everybody else is shut out, and nobody who was forgotten."""
    rendering = charts.render("billing-writer", of("billing-writer", "network-policy").values)
    writer = _pods(rendering)["writer"]
    for other in (_INGRESS, _PROMETHEUS, _APP, End(address="10.20.1.1")):
        assert _policed(rendering, "Ingress", writer, other, "http")
    namesake = replace(_PROMETHEUS, labels={"app": "other"})
    for other in (_STRANGER, namesake, End(address="10.20.9.9")):
        assert not _policed(rendering, "Ingress", writer, other, "http")
    assert not _policed(rendering, "Egress", writer, replace(_POSTGRES, address="10.31.0.1"), 5432)
    assert _policed(rendering, "Egress", writer, _STRANGER, 3128)


def test_helms_test_reaches_the_writer(charts: Charts) -> None:
    """Also where only those who are named are let in."""
    rendering = charts.render("billing-writer", of("billing-writer", "network-policy").values)
    pods = _pods(rendering)
    assert _policed(rendering, "Ingress", pods["writer"], pods["test"], "http")
    assert _policed(rendering, "Egress", pods["test"], pods["writer"], "http")


def test_a_collector_is_reached_where_there_is_one(writer: Render) -> None:
    """Its port is open only where spans are sent."""
    collector = End(namespace={"kubernetes.io/metadata.name": "observability"}, address="10.1.0.9")
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    for settings, open_ in (({}, False), (traced, True)):
        rendering = writer(networkPolicy={"enabled": True}, settings=settings)
        assert _policed(rendering, "Egress", _pods(rendering)["writer"], collector, 4318) == open_


def test_who_would_be_cut_off_is_named(refused: Refuse) -> None:
    """Where one list names somebody, an empty one for somebody who is needed is refused."""
    named: list[dict[str, Any]] = [{"namespaceSelector": {}}]
    ingress = {"enabled": True, "hosts": [{"host": "billing.example.com"}]}
    monitor = {"serviceMonitor": {"enabled": True}}
    said = refused(networkPolicy={"enabled": True, "from": {"apps": named}}, ingress=ingress, monitoring=monitor)
    assert "webhooks would be cut off" in said
    route = {"enabled": True, "parentRefs": [{"name": "public"}]}
    assert "webhooks would be cut off" in refused(
        networkPolicy={"enabled": True, "from": {"apps": named}}, httpRoute=route
    )
    assert "Prometheus would be cut off" in said
    assert "sidecars and apps would be cut off" in refused(networkPolicy={"enabled": True, "from": {"ingress": named}})


def test_there_is_none_unasked(writer: Render) -> None:
    """A cluster without a policy engine would only pretend."""
    assert writer().all("NetworkPolicy") == []
