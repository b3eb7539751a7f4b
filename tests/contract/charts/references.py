"""What Kubernetes refuses although each field is right: names that lead nowhere, and pairs that do not fit."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tests.contract.charts.rendering import Manifest, containers, pod_of

_LABEL: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_REFERENCE: Final = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_QUANTITY: Final = re.compile(r"([0-9.]+)(m|[kMGTPE]|[KMGTPE]i)?")
_FACTORS: Final = {None: 1.0, "m": 1e-3} | {
    unit: base**power
    for power in range(1, 7)
    for unit, base in ((" kMGTPE"[power], 1000.0), (f"{' KMGTPE'[power]}i", 1024.0))
}


def faults(manifests: Sequence[Manifest]) -> list[str]:
    """All of them, in the resources of one release."""
    found = [fault for each in manifests for fault in (*_named(each), *_podded(each))]
    return [*found, *_missing(manifests)]


def _place(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def _named(manifest: Manifest) -> Iterator[str]:
    most = 52 if manifest["kind"] == "CronJob" else 63
    name = manifest["metadata"]["name"]
    if not _NAME.fullmatch(name) or len(name) > most:
        yield f"{_place(manifest)}: is no name"
    pod = pod_of(manifest)
    for metadata in (manifest["metadata"], *([] if pod is None else [pod.get("metadata", {})])):
        for label, value in metadata.get("labels", {}).items():
            if not isinstance(value, str) or not _LABEL.fullmatch(value):
                yield f"{_place(manifest)}: label {label} cannot be {value}"
        for annotation, value in metadata.get("annotations", {}).items():
            if not isinstance(value, str):
                yield f"{_place(manifest)}: annotation {annotation} is no text"


def _podded(manifest: Manifest) -> Iterator[str]:
    pod = pod_of(manifest)
    if pod is None:
        return
    selector = manifest["spec"].get("selector", {}).get("matchLabels", {})
    if not selector.items() <= pod["metadata"].get("labels", {}).items():
        yield f"{_place(manifest)}: does not select its own pods"
    volumes = [volume["name"] for volume in pod["spec"].get("volumes", [])]
    mounted = {mount["name"] for each in containers(pod) for mount in each.get("volumeMounts", [])}
    yield from (f"{_place(manifest)}: volume {name} is there twice" for name in _twice(volumes))
    yield from (f"{_place(manifest)}: volume {name} is mounted nowhere" for name in sorted(set(volumes) - mounted))
    yield from (f"{_place(manifest)}: there is no volume {name}" for name in sorted(mounted - set(volumes)))
    names = [each["name"] for each in containers(pod)]
    yield from (f"{_place(manifest)}: container {name} is there twice" for name in _twice(names))
    for container in containers(pod):
        yield from (f"{_place(manifest)} {container['name']}: {fault}" for fault in _contained(container))


def _contained(container: Manifest) -> Iterator[str]:
    ports = [port.get("name", "") for port in container.get("ports", [])]
    yield from (f"port {name} is no name" for name in ports if not _PORT_NAME.fullmatch(name))
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container.get(probe, {}).get("httpGet", {}).get("port")
        if asked is not None and asked not in ports:
            yield f"{probe} asks a port that there is not: {asked}"
    paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
    yield from (f"{path} is mounted twice" for path in _twice(paths))
    yield from _told(container.get("env", []))
    resources = container.get("resources", {})
    for name, amount in resources.get("requests", {}).items():
        most = resources.get("limits", {}).get(name)
        if most is not None and _amount(amount) > _amount(most):
            yield f"requests more {name} than its limit"


def _told(variables: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A variable that refers to another one must stand behind it."""
    yield from (f"{name} is told twice" for name in _twice([each["name"] for each in variables]))
    known: set[str] = set()
    for variable in variables:
        for reference in _REFERENCE.findall(variable.get("value", "")):
            if reference not in known:
                yield f"{variable['name']} refers to {reference}, which is not known there"
        known.add(variable["name"])


def _missing(manifests: Sequence[Manifest]) -> Iterator[str]:
    """ConfigMaps are the release's own; Secrets, and what is named as being there already, are not."""
    made = {each["metadata"]["name"] for each in manifests if each["kind"] == "ConfigMap"}
    for manifest in manifests:
        pod = pod_of(manifest)
        for container in [] if pod is None else containers(pod):
            for source in container.get("envFrom", []):
                if source["configMapRef"]["name"] not in made:
                    yield f"{_place(manifest)}: there is no ConfigMap {source['configMapRef']['name']}"


def _twice(names: Sequence[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def _amount(quantity: str | float) -> float:
    match = _QUANTITY.fullmatch(str(quantity))
    assert match is not None, quantity
    return float(match[1]) * _FACTORS[match[2]]
