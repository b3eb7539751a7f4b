"""The environment that a container of a rendering starts with, Secrets filled with what such a Secret would hold."""

import re
from collections.abc import Mapping
from typing import Any, Final

from tests.contract.charts.rendering import Manifest, Rendering

_REFERENCE: Final = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_POSTGRES: Final = "postgresql://billing:test-password@postgres:5432/billing"
_KINDS: Final[Mapping[str, str]] = {
    "DATABASE_URL": _POSTGRES,
    "DATABASE_READ_URL": _POSTGRES,
    "BACKUP_SCRATCH_URL": _POSTGRES,
    "REDIS_URL": "redis://billing-writer:test-password@redis:6379/0",
    "REDIS_USERNAME": "sidecar-notes",
    "REDIS_PASSWORD": "test-password",
    "STRIPE_SECRET_KEY": "sk_test_example",
    "STRIPE_WEBHOOK_SECRET": "whsec_example",
    "ADMIN_API_KEY": "test-admin",
}
"""By the variable that a key is for; any other holds a text."""

_OF_SCENARIOS: Final[Mapping[str, Mapping[str, str]]] = {
    "redis-cluster": {"REDIS_URL": "rediss+cluster://r1:6379,r2:6380/?ssl_ca_certs=/etc/billing/tls/redis/ca.crt"},
    "redis-sentinel": {"REDIS_URL": "redis+sentinel://s1:26379,s2/billing"},
    "tls": {
        "DATABASE_URL": f"{_POSTGRES}?sslmode=verify-full&sslrootcert=/etc/billing/tls/postgres/ca.crt",
        "REDIS_URL": "rediss://redis:6379/0?ssl_ca_certs=/etc/billing/tls/redis/ca.crt",
    },
}


def secret(variable: str, scenario: str = "") -> str:
    """What the Secret holds from which a variable comes."""
    return _OF_SCENARIOS.get(scenario, {}).get(variable, _KINDS.get(variable, f"test-{variable.lower()}"))


def environment(rendering: Rendering, container: Manifest, scenario: str = "") -> dict[str, str]:
    """Variables as Kubernetes makes them: ConfigMaps first, then those of the container, `$(…)` filled."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= rendering.one("ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        found[variable["name"]] = _filled(_value(variable, scenario), found)
    return found


def _value(variable: Mapping[str, Any], scenario: str) -> str:
    source = variable.get("valueFrom")
    if source is None:
        return str(variable["value"])
    return secret(variable["name"], scenario) if "secretKeyRef" in source else "pod-1"


def _filled(text: str, known: Mapping[str, str]) -> str:
    """What is not known stays as it is written: Kubernetes does not fail there, the process would."""
    return _REFERENCE.sub(lambda match: known.get(match[1], match[0]), text)
