"""The fields of resources that Kubernetes does not know by itself, as far as the charts use them.

From the references of `monitoring.coreos.com/v1` and `gateway.networking.k8s.io/v1`. Closed: a field that is missing
here is either mistyped in a chart, or new there and to be added with a look at the reference.
"""

from typing import Any, Final

from tests.contract.charts.shapes import SHAPES, Schema, closed, listed, text

_DURATION: Final = text("([0-9]+(ms|s|m|h|d|w|y))+")
_LABELS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA: Final = closed(("name",), name=text(), namespace=text(), labels=_LABELS, annotations=_LABELS)
_SELECTOR: Final = {**closed(matchLabels=_LABELS, matchExpressions=listed({"type": "object"})), "minProperties": 1}
_NAMESPACES: Final = closed(any={"type": "boolean"}, matchNames=listed(text()))
_RELABELING: Final = closed(
    sourceLabels=listed(text()),
    separator=text(),
    targetLabel=text(),
    regex=text(),
    modulus={"type": "integer"},
    replacement=text(),
    action={
        "enum": ["replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"]
    },
)
_SCRAPE: Final[dict[str, Schema]] = {
    "port": text("[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?"),
    "path": text("/.*"),
    "scheme": {"enum": ["http", "https"]},
    "interval": _DURATION,
    "scrapeTimeout": _DURATION,
    "honorLabels": {"type": "boolean"},
    "relabelings": listed(_RELABELING),
    "metricRelabelings": listed(_RELABELING),
}
_RULE: Final = {
    **closed(
        ("expr",),
        alert=text(),
        record=text(),
        expr={"type": ["string", "integer"]},
        keep_firing_for=_DURATION,
        labels=_LABELS,
        annotations=_LABELS,
        **{"for": _DURATION},
    ),
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
}
_GROUP: Final = closed(
    ("name", "rules"), name=text(), interval=_DURATION, limit={"type": "integer"}, rules=listed(_RULE, minItems=1)
)


def _resource(kind: str, spec: Schema, group: str = "monitoring.coreos.com/v1") -> Schema:
    fixed: dict[str, Any] = {"apiVersion": {"const": group}, "kind": {"const": kind}}
    return closed(("apiVersion", "kind", "metadata", "spec"), **fixed, metadata=_METADATA, spec=spec)


def _monitor(kind: str, endpoints: str) -> Schema:
    many = {endpoints: listed(closed(("port",), **_SCRAPE), minItems=1)}
    spec = closed(("selector", endpoints), jobLabel=text(), selector=_SELECTOR, namespaceSelector=_NAMESPACES, **many)
    return _resource(kind, spec)


_ROUTE: Final = closed(
    ("matches", "backendRefs"),
    matches=listed(
        closed(path=closed(("type", "value"), type={"enum": ["Exact", "PathPrefix"]}, value=text("/.*"))), minItems=1
    ),
    backendRefs=listed(closed(("name", "port"), name=text(), port={"type": "integer"}), minItems=1),
)

TYPES: Final = {
    "HTTPRoute": _resource(
        "HTTPRoute",
        closed(
            ("parentRefs", "rules"),
            parentRefs=listed(SHAPES["gateways"].schema["items"], minItems=1),
            hostnames=listed(text()),
            rules=listed(_ROUTE, minItems=1),
        ),
        "gateway.networking.k8s.io/v1",
    ),
    "ServiceMonitor": _monitor("ServiceMonitor", "endpoints"),
    "PodMonitor": _monitor("PodMonitor", "podMetricsEndpoints"),
    "PrometheusRule": _resource("PrometheusRule", closed(("groups",), groups=listed(_GROUP, minItems=1))),
}
