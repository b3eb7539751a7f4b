"""Which connections NetworkPolicies let through, by the rules of `networking.k8s.io/v1`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Final

from tests.contract.charts.rendering import Manifest

Labels = Mapping[str, str]
_NO_LABELS: Final[Labels] = {}


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection: a pod with its namespace, or an address outside."""

    labels: Labels = field(default_factory=dict)
    namespace: Labels = field(default_factory=dict)
    address: str = "10.0.0.1"


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector fits."""
    wanted: Labels = selector.get("matchLabels", _NO_LABELS)
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return wanted.items() <= labels.items() and all(labels.get(each["key"]) in each["values"] for each in expressions)


def allows(policies: Iterable[Manifest], pod: End, direction: str, other: End, port: int | str, protocol: str) -> bool:
    """Whether a pod may be reached by another end (`Ingress`), or reach it (`Egress`); unselected, it may."""
    applying = [
        each["spec"]
        for each in policies
        if selects(each["spec"]["podSelector"], pod.labels) and direction in each["spec"]["policyTypes"]
    ]
    rules = [rule for spec in applying for rule in spec.get(direction.lower(), [])]
    peers = "from" if direction == "Ingress" else "to"
    fits = (_port(rule, port, protocol) and _peer(rule.get(peers), pod, other) for rule in rules)
    return not applying or any(fits)


def _port(rule: Mapping[str, Any], port: int | str, protocol: str) -> bool:
    ports = rule.get("ports")
    return ports is None or any((each["port"], each["protocol"]) == (port, protocol) for each in ports)


def _peer(peers: list[Any] | None, pod: End, other: End) -> bool:
    return not peers or any(_fits(each, pod, other) for each in peers)


def _fits(peer: Mapping[str, Any], pod: End, other: End) -> bool:
    if "ipBlock" in peer:
        network, address = ip_network(peer["ipBlock"]["cidr"]), ip_address(other.address)
        left_out = [ip_network(each) for each in peer["ipBlock"].get("except", [])]
        return address in network and not any(address in each for each in left_out)
    in_namespace = (
        selects(peer["namespaceSelector"], other.namespace)
        if "namespaceSelector" in peer
        else other.namespace == pod.namespace
    )
    return in_namespace and selects(peer.get("podSelector", {}), other.labels)
