"""JSON Schemas of what stands in many a chart's values: Kubernetes' own types, and forms of the service's settings.

Each with the words for it in a README. JSON Schema draft 7, which every Helm since 3.0 reads; patterns are those that
Go knows too.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Schema = dict[str, Any]


class Shape(NamedTuple):
    """A form that values have."""

    schema: Schema
    words: str


def closed(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """An object that has these and no others."""
    needed: Schema = {"required": list(required)} if required else {}
    return {"type": "object", "additionalProperties": False, "properties": properties, **needed}


def listed(items: Schema, **more: Any) -> Schema:
    """A list of them."""
    return {"type": "array", "items": items, **more}


def text(pattern: str | None = None, **more: Any) -> Schema:
    """A text, all of which the pattern must fit."""
    return {"type": "string", **({} if pattern is None else {"pattern": f"^({pattern})$"}), **more}


_FREE: Final[Schema] = {"type": "object"}
_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}
_LABELS: Final[Schema] = {
    "type": "object",
    "propertyNames": {"pattern": "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"},
    "additionalProperties": {"type": "string", "pattern": "^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"},
}
_ANNOTATIONS: Final[Schema] = {**_TEXTS, "propertyNames": _LABELS["propertyNames"]}
_NAME: Final = "[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_KEY: Final = "[A-Za-z0-9._-]"
_ANY_QUANTITY: Final = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?"
_QUANTITY: Final[Schema] = {"type": ["string", "number"], "pattern": f"^{_ANY_QUANTITY}$"}
_AMOUNTS: Final = {"cpu": _QUANTITY, "memory": _QUANTITY, "ephemeral-storage": _QUANTITY}
_SELECTOR: Final = closed(matchLabels=_LABELS, matchExpressions=listed(_FREE))
_KEY_REFERENCE: Final = closed(("name", "key"), name=text(), key=text(), optional={"type": "boolean"})
_SECRET_KEY: Final = closed(("existingSecret", "key"), existingSecret=text(f"|{_NAME}"), key=text(f"{_KEY}+"))
_VALUE_FROM: Final = closed(
    secretKeyRef=_KEY_REFERENCE,
    configMapKeyRef=_KEY_REFERENCE,
    fieldRef=closed(("fieldPath",), apiVersion=text(), fieldPath=text()),
    resourceFieldRef=closed(("resource",), containerName=text(), resource=text(), divisor=text()),
)
_VARIABLE: Final = {
    **closed(("name",), name=text("[A-Za-z_][A-Za-z0-9_]*"), value=text(), valueFrom=_VALUE_FROM),
    "oneOf": [{"required": ["value"]}, {"required": ["valueFrom"]}],
}
_SPREAD: Final = closed(
    ("maxSkew", "topologyKey", "whenUnsatisfiable"),
    maxSkew={"type": "integer", "minimum": 1},
    topologyKey=text(),
    whenUnsatisfiable={"enum": ["DoNotSchedule", "ScheduleAnyway"]},
    labelSelector=_SELECTOR,
    minDomains={"type": "integer", "minimum": 1},
    matchLabelKeys=listed(text()),
    nodeAffinityPolicy={"enum": ["Honor", "Ignore"]},
    nodeTaintsPolicy={"enum": ["Honor", "Ignore"]},
)
_TOLERATION: Final = closed(
    key=text(),
    operator={"enum": ["Exists", "Equal"]},
    value=text(),
    effect={"enum": ["", "NoSchedule", "PreferNoSchedule", "NoExecute"]},
    tolerationSeconds={"type": "integer"},
)
_PEER: Final = {
    **closed(
        podSelector=_SELECTOR,
        namespaceSelector=_SELECTOR,
        ipBlock={**closed(("cidr",), cidr=text(), **{"except": listed(text())})},
    ),
    "minProperties": 1,
}
_PATH: Final = closed(("path",), path=text("/.*"), pathType={"enum": ["Exact", "Prefix", "ImplementationSpecific"]})
_INGRESS_HOST: Final = closed(
    ("host",), host=text(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?"), paths=listed(_PATH, minItems=1)
)
_GATEWAY: Final = closed(
    ("name",),
    name=text(),
    namespace=text(),
    sectionName=text(),
    group=text(),
    kind=text(),
    port={"type": "integer", "minimum": 1, "maximum": 65535},
)
_PROJECT: Final = closed(
    ("id",),
    id=text("[A-Za-z0-9_.-]{1,64}"),
    apiKey=closed(("existingSecret", "key"), existingSecret=text(_NAME), key=text(f"{_KEY}+")),
)
_VOLUME: Final = {
    **closed(emptyDir=_FREE, persistentVolumeClaim=_FREE, ephemeral=_FREE, hostPath=_FREE, csi=_FREE),
    "maxProperties": 1,
}
_WEEKDAY_AND_SUCH: Final = r"@(hourly|daily|midnight|weekly|monthly|yearly|annually)|(\S+ +){4}\S+"

SHAPES: Final[Mapping[str, Shape]] = {
    "annotations": Shape(_ANNOTATIONS, "annotations"),
    "affinity": Shape(closed(nodeAffinity=_FREE, podAffinity=_FREE, podAntiAffinity=_FREE), "an affinity"),
    "duration": Shape(text(r"|[0-9]+(\.[0-9]+)?(ms|s|m|h|d)"), "a duration, such as `5s`"),
    "env": Shape(listed(_VARIABLE), "variables"),
    "free": Shape(_FREE, "an object"),
    "gateways": Shape(listed(_GATEWAY), "gateways"),
    "hostAliases": Shape(listed(closed(("ip", "hostnames"), ip=text(), hostnames=listed(text()))), "host aliases"),
    "ingressHosts": Shape(listed(_INGRESS_HOST), "hosts"),
    "ingressTls": Shape(listed(closed(secretName=text(), hosts=listed(text()))), "TLS entries"),
    "labels": Shape(_LABELS, "labels"),
    "name": Shape(text(f"|{_NAME}"), "a name"),
    "names": Shape(listed(text(_NAME)), "names"),
    "numberOrPercent": Shape(
        {"type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]{1,3}%$"}, "a number or percent"
    ),
    "numberOrPercentOrNone": Shape(
        {"type": ["integer", "string"], "minimum": 0, "pattern": "^(|[0-9]{1,3}%)$"}, "a number or percent"
    ),
    "objects": Shape(listed(_FREE), "objects"),
    "optionalSecretKey": Shape(
        closed(("existingSecret", "key"), existingSecret=text(f"|{_NAME}"), key=text(f"{_KEY}*")),
        "`existingSecret`, `key`",
    ),
    "paths": Shape(listed(_PATH), "paths"),
    "peers": Shape(listed(_PEER), "peers"),
    "ports": Shape(listed({"type": "integer", "minimum": 1, "maximum": 65535}, minItems=1), "ports"),
    "projects": Shape(listed(_PROJECT), "projects"),
    "prometheusDuration": Shape(text("([0-9]+(ms|s|m|h|d))+"), "a duration, such as `15s`"),
    "quantity": Shape(text(_ANY_QUANTITY), "a quantity"),
    "resources": Shape(
        closed(("limits",), requests=closed((), **_AMOUNTS), limits=closed(("memory",), **_AMOUNTS)),
        "`requests`, `limits` with memory",
    ),
    "schedule": Shape(text(_WEEKDAY_AND_SUCH), "a cron schedule"),
    "secretKey": Shape(_SECRET_KEY, "`existingSecret`, `key`"),
    "secretKeyName": Shape(text(f"{_KEY}*"), "a key"),
    "secretName": Shape(text(f"|{_NAME}"), "a Secret's name"),
    "series": Shape({**_TEXTS, "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}}, "labels of Prometheus's"),
    "strings": Shape(listed(text()), "texts"),
    "timeOfDay": Shape({"anyOf": [{"const": False}, text("|off|([01][0-9]|2[0-3]):[0-5][0-9]")]}, "`HH:MM` or `off`"),
    "timeZone": Shape(text("[A-Za-z]+([/_+-][A-Za-z0-9_+-]+)*"), "a time zone"),
    "tolerations": Shape(listed(_TOLERATION), "tolerations"),
    "topologySpread": Shape(listed(_SPREAD), "constraints"),
    "url": Shape(text("|https?://.+"), "a URL"),
    "volumeSource": Shape(_VOLUME, "a volume without name"),
    "whole": Shape({"type": ["integer", "string"], "pattern": "^$"}, "a number"),
}
