"""Which build this is."""

import platform
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Gauge


def release() -> str:
    """The version of the installed package; `unknown` where it is not installed."""
    try:
        return version("billing-service")
    except PackageNotFoundError:
        return "unknown"


def tell(name: str, registry: CollectorRegistry) -> None:
    """Show version and Python as a gauge that is always 1."""
    gauge = Gauge(name, "Always 1; which version runs on which Python", ["version", "python"], registry=registry)
    gauge.labels(release(), platform.python_version()).set(1)
