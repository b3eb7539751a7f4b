"""Kubernetes' own schemas, of several releases, held strictly: what the API server does not know is a fault."""

import json
from functools import cache
from typing import Any, Final

from jsonschema_rs import Draft202012Validator, Registry
from kubernetes_validate import utils

from tests.contract.charts.custom_resources import TYPES

VERSIONS: Final = ("1.25", "1.27", "1.29", "1.32", "1.34", "1.37")


def faults(manifest: dict[str, Any], version: str) -> list[str]:
    """All that a release of Kubernetes, or of what is installed beside it, would not take."""
    return list(_faults(json.dumps(manifest, sort_keys=True), version))


@cache
def _faults(text: str, version: str) -> tuple[str, ...]:
    manifest = json.loads(text)
    found = _validator(manifest["apiVersion"], manifest["kind"], version).iter_errors(manifest)
    name = f"{manifest['kind']}/{manifest['metadata']['name']} at {version}"
    return tuple(f"{name}: {'.'.join(map(str, error.instance_path))}: {error.message[:300]}" for error in found)


@cache
def _validator(api_version: str, kind: str, version: str) -> Draft202012Validator:
    if kind in TYPES:
        return Draft202012Validator(TYPES[kind])
    group, _, release = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.split(".")[0], release)))
    return Draft202012Validator(_content(f"{name}.json", version), registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry:
    return Registry([("_definitions.json", _content("_definitions.json", version))])


def _content(name: str, version: str) -> Any:
    return utils.schema_contents(f"kubernetes-json-schema/v{version}.0-local-strict/{name}", version)
