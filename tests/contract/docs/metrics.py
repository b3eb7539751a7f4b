"""Writes docs/metrics.md from the registries of a real writer and a real sidecar: `make metrics-docs`."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from prometheus_client import CollectorRegistry

from sidecar import app as sidecar_app
from sidecar.metrics import Metrics
from sidecar.settings import Settings as SidecarSettings
from writer import app as writer_app
from writer import settings as writer_settings

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"

_HEAD: Final = """# Metrics

Made from the code by `make metrics-docs`; what to alert on stands in [operations.md](operations.md#metrics). Both
processes answer `GET /metrics` in Prometheus's text form, without a key: the writer on `WRITER_LISTEN`, the sidecar on
`SIDECAR_MANAGEMENT_LISTEN`. A scrape reads what is in memory and asks nobody. Counters begin at 0 with the process. No
label holds what a stranger chose: projects and apps are the operator's, routes are as declared, and what is not known
by name is `other` or `unmatched`.
"""

# Nothing of this is reached: everything is built before it listens.
_WRITER: Final = {
    "DATABASE_URL": "postgresql://127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "STRIPE_SECRET_KEY": "sk_test_docs",
    "STRIPE_WEBHOOK_SECRET": "whsec_docs",
    "ADMIN_API_KEY": "docs",
}
_SIDECAR: Final = {"SIDECAR_PROJECT": "shop", "REDIS_URL": "redis://127.0.0.1:1/0"}


@dataclass(frozen=True, slots=True)
class Described:
    """One metric as people read of it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    @property
    def unit(self) -> str:
        """By its name, as the convention has it."""
        bare = self.name.removesuffix("_total")
        if bare.endswith("_timestamp_seconds"):
            return "Unix seconds"
        return next((unit for unit in ("seconds", "bytes", "revisions") if bare.endswith(f"_{unit}")), "")


async def writers() -> list[Described]:
    """Every metric of a writer."""
    registry = CollectorRegistry()
    with patch.object(writer_app, "CollectorRegistry", lambda: registry):
        await _build(writer_app, lambda: writer_app.running(writer_settings.read(_WRITER)))
    return _described(registry)


async def sidecars() -> list[Described]:
    """Every metric of a sidecar."""
    metrics = Metrics()
    with patch.object(sidecar_app, "Metrics", lambda: metrics):
        await _build(sidecar_app, lambda: sidecar_app.running(SidecarSettings.from_mapping(_SIDECAR)))
    return _described(metrics.registry)


def page(writer: list[Described], sidecar: list[Described]) -> str:
    """The whole page."""
    parts = [_HEAD]
    for name, described in (("Writer", writer), ("Sidecar", sidecar)):
        rows = "\n".join(_row(one) for one in described)
        parts.append(f"\n## {name}\n\n| name | type | labels | unit | |\n|---|---|---|---|---|\n{rows}\n")
    return "".join(parts)


class _BuiltError(Exception):
    """All is built."""


async def _build(module: Any, running: Callable[[], AbstractAsyncContextManager[object]]) -> None:
    def listening(*_: object) -> None:
        raise _BuiltError

    with patch.object(module, "listening", listening), suppress(_BuiltError):
        async with running():
            pass


def _described(registry: CollectorRegistry) -> list[Described]:
    return sorted(_each(registry), key=lambda one: one.name)


def _each(registry: CollectorRegistry) -> Iterator[Described]:
    for collector in registry._collector_to_names:
        for family in collector.collect():
            labels: Any = getattr(collector, "_labelnames", None) or getattr(family, "_labelnames", ())
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield Described(name, family.type, tuple(labels), family.documentation.rstrip("."))


def _row(one: Described) -> str:
    labels = " ".join(f"`{label}`" for label in one.labels)
    return f"| `{one.name}` | {one.kind} | {labels} | {one.unit} | {one.help} |"


async def _main() -> None:
    PAGE.write_text(page(await writers(), await sidecars()), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(_main())
