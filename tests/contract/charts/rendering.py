"""Charts rendered by Helm itself, in this process; what was rendered once is not rendered again."""

import json
import shutil
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import helm_python as helm
import yaml

from tests.contract.charts.values import CHARTS

Manifest = dict[str, Any]

RELEASE: Final = "prod"
NAMESPACE: Final = "billing"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Rendering:
    """What Helm made of a chart and some values."""

    files: Mapping[str, str]
    """What each template gave, by its path in the chart."""

    @cached_property
    def notes(self) -> str:
        """What Helm tells whoever installed it."""
        return self.files.get("templates/NOTES.txt", "")

    @cached_property
    def manifests(self) -> list[Manifest]:
        """Every resource."""
        texts = [text for name, text in self.files.items() if not name.endswith("NOTES.txt")]
        documents = (each for text in texts if text.strip() for each in yaml.load_all(text, Loader=_LOADER))
        return [each for each in documents if each]

    def all(self, kind: str) -> list[Manifest]:
        """Resources of a kind."""
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def one(self, kind: str, suffix: str = "") -> Manifest:
        """The one resource of a kind whose name ends so."""
        [found] = [each for each in self.all(kind) if each["metadata"]["name"].endswith(suffix)]
        return found

    def pods(self) -> list[tuple[Manifest, Manifest]]:
        """Each resource that makes pods, and the pod's metadata and spec."""
        return [(manifest, pod) for manifest in self.manifests if (pod := pod_of(manifest)) is not None]


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod that a resource makes; None: it makes none."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "Pod":
        return manifest
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    if manifest["kind"] in {"CronJob", "Job", "Deployment"}:
        pod: Manifest = spec["template"]
        return pod
    return None


def containers(pod: Manifest) -> list[Manifest]:
    """All of a pod's, those of its start too."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def over(values: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `other` over them, as Helm lays one file over another."""
    merged = deepcopy(dict(values))
    for key, value in other.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = over(merged[key], value) if both else deepcopy(value)
    return merged


@dataclass(frozen=True)
class Charts:
    """The charts, each loaded once, dependencies built in a copy."""

    folder: Path
    _loaded: dict[str, helm.Chart] = field(default_factory=dict)
    _rendered: dict[str, Rendering] = field(default_factory=dict)

    @classmethod
    def copied(cls, folder: Path) -> "Charts":
        """Copies of all of them in a folder, as an operator has them after `helm dependency build`."""
        shutil.copytree(CHARTS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("charts", "*.tgz"))
        helm.dependency_build(folder / "example-app")
        return cls(folder)

    def chart(self, name: str) -> helm.Chart:
        """One of them."""
        if name not in self._loaded:
            self._loaded[name] = helm.Chart.load(self.folder / name)
        return self._loaded[name]

    def render(self, name: str, values: Mapping[str, Any]) -> Rendering:
        """Checked against the schema, as at an install; HelmError where values are refused."""
        asked = json.dumps([name, values], sort_keys=True)
        if asked not in self._rendered:
            chart = self.chart(name)
            files = chart.render(dict(values), name=RELEASE, namespace=NAMESPACE)
            of_chart = {path.removeprefix(f"{name}/"): text for path, text in files.items()}
            self._rendered[asked] = Rendering(of_chart)
        return self._rendered[asked]
