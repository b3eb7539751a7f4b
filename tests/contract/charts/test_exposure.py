"""The writers' Service, Ingress and HTTPRoute: who is reached from where."""

import pytest

from tests.contract.charts.conftest import Refuse, Render

_HOST = {"host": "billing.example.com"}


def test_the_service_leads_to_writers(writer: Render) -> None:
    """By the labels that writers have, to the port that they name."""
    rendering = writer()
    service, pod = rendering.one("Service")["spec"], rendering.one("Deployment")["spec"]["template"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    [port] = service["ports"]
    assert port["targetPort"] in {each["name"] for each in pod["spec"]["containers"][0]["ports"]}
    assert service["type"] == "ClusterIP"


def test_the_service_leads_to_no_job(writer: Render) -> None:
    """A migration or a backup gets no traffic."""
    rendering = writer(backup={"enabled": True}, reconcile={"enabled": True})
    selector = rendering.one("Service")["spec"]["selector"]
    labels = [pod["metadata"]["labels"] for manifest, pod in rendering.pods() if manifest["kind"] != "Deployment"]
    assert len(labels) == 4
    assert not any(selector.items() <= each.items() for each in labels)


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "LoadBalancer"])
def test_only_a_load_balancer_has_ranges(writer: Render, kind: str) -> None:
    """Kubernetes refuses them elsewhere."""
    spec = writer(service={"type": kind, "loadBalancerSourceRanges": ["10.0.0.0/8"]}).one("Service")["spec"]
    assert ("loadBalancerSourceRanges" in spec) == (kind == "LoadBalancer")


def test_another_port_is_told_to_everybody(writer: Render) -> None:
    """To the writer, its probes by name, and nobody else has to know."""
    rendering = writer(port=9000, service={"port": 80})
    assert rendering.one("ConfigMap")["data"]["WRITER_LISTEN"] == "0.0.0.0:9000"
    [container] = rendering.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 9000, "protocol": "TCP"}]
    assert rendering.one("Service")["spec"]["ports"][0]["port"] == 80


def test_there_is_no_ingress_unasked(writer: Render) -> None:
    """Nothing is reached from outside."""
    assert writer().all("Ingress") == []


def test_the_webhook_alone_is_reached_from_outside(writer: Render) -> None:
    """Where nothing else is said: metrics, console and admin routes are no prefix of it, nor it of them."""
    ingress = writer(ingress={"enabled": True, "hosts": [_HOST]}).one("Ingress")
    [rule] = ingress["spec"]["rules"]
    [path] = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/api/v1/webhooks/stripe", "Exact")
    assert "ingressClassName" not in ingress["spec"]


def test_more_is_reached_where_it_is_named(writer: Render) -> None:
    """Each path leads to the Service's port by its name, TLS to its Secret."""
    paths = [{"path": "/console"}, {"path": "/api/v1/checkout", "pathType": "ImplementationSpecific"}]
    tls = [{"secretName": "tls", "hosts": ["billing.example.com"]}]
    values = {"enabled": True, "className": "nginx", "hosts": [{**_HOST, "paths": paths}], "tls": tls}
    rendering = writer(ingress=values)
    spec = rendering.one("Ingress")["spec"]
    found = spec["rules"][0]["http"]["paths"]
    assert [(each["path"], each["pathType"]) for each in found] == [
        ("/console", "Prefix"), ("/api/v1/checkout", "ImplementationSpecific"),
    ]  # fmt: skip
    service = rendering.one("Service")
    backends = [each["backend"]["service"] for each in found]
    assert (
        backends == [{"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}] * 2
    )
    assert (spec["ingressClassName"], spec["tls"]) == ("nginx", tls)


def test_an_ingress_needs_a_host(refused: Refuse) -> None:
    """Without one it would take everybody's requests."""
    assert "ingress.hosts is empty" in refused(ingress={"enabled": True})


def test_a_gateway_leads_to_the_webhook_alone(writer: Render) -> None:
    """Where nothing else is said; to the Service's port."""
    values = {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["billing.example.com"]}
    rendering = writer(httpRoute=values, service={"port": 80})
    spec = rendering.one("HTTPRoute")["spec"]
    assert (spec["parentRefs"], spec["hostnames"]) == ([{"name": "public"}], ["billing.example.com"])
    [rule] = spec["rules"]
    assert rule["matches"] == [{"path": {"type": "Exact", "value": "/api/v1/webhooks/stripe"}}]
    assert rule["backendRefs"] == [{"name": rendering.one("Service")["metadata"]["name"], "port": 80}]
    assert "--url https://billing.example.com/api/v1/webhooks/stripe" in rendering.notes
    assert writer().all("HTTPRoute") == []


def test_a_gateway_leads_to_more_where_it_is_named(writer: Render) -> None:
    """As with an Ingress, in the words of a Gateway."""
    paths = [{"path": "/console"}, {"path": "/api/v1/checkout/create", "pathType": "Exact"}]
    route = writer(httpRoute={"enabled": True, "parentRefs": [{"name": "public"}], "paths": paths}).one("HTTPRoute")
    found = [match["path"] for match in route["spec"]["rules"][0]["matches"]]
    assert found == [
        {"type": "PathPrefix", "value": "/console"},
        {"type": "Exact", "value": "/api/v1/checkout/create"},
    ]
    assert "hostnames" not in route["spec"]


def test_a_route_needs_a_gateway(refused: Refuse) -> None:
    """Without one nobody comes."""
    assert "httpRoute.parentRefs is empty" in refused(httpRoute={"enabled": True})
