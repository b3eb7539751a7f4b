"""docs/metrics.md says what the code has, and the code keeps to the conventions of Prometheus."""

import re

import pytest

from tests.contract.docs import metrics
from tests.contract.docs.metrics import Described

CAMEL_OR_WORSE = re.compile(r"[^a-z0-9_]")
MAY_NAME = {
    "agreed", "app", "cache", "cause", "code", "event", "feature", "finding", "key", "kind", "limit", "method", "mode",
    "name", "operation", "origin", "outcome", "pool", "project", "python", "reason", "route", "source", "status",
    "task", "type", "urgency", "version", "why",
}  # fmt: skip
"""Labels whose values are bounded: by the code, or by what the operator made. A new one needs a thought."""


@pytest.fixture
async def described() -> dict[str, list[Described]]:
    """What a writer and a sidecar tell."""
    return {"billing_": await metrics.writers(), "sidecar_": await metrics.sidecars()}


async def test_the_page_is_as_the_code(described: dict[str, list[Described]]) -> None:
    """Run `make metrics-docs` after a change."""
    assert metrics.PAGE.read_text(encoding="utf-8") == metrics.page(*described.values())


async def test_names_follow_the_convention(described: dict[str, list[Described]]) -> None:
    """A prefix of the process, small letters, base units, a help text; only labels whose values are bounded."""
    for prefix, all_of_it in described.items():
        assert len(all_of_it) > 20
        for one in all_of_it:
            assert one.name.startswith(prefix)
            assert not CAMEL_OR_WORSE.search(one.name)
            assert not re.search(r"_(ms|milliseconds|minutes|kb|mb)(_|$)", one.name)
            assert len(one.help) > 10
            assert set(one.labels) <= MAY_NAME, one


async def test_the_guide_names_what_there_is(described: dict[str, list[Described]]) -> None:
    """What operations.md tells to alert on exists, with those labels."""
    known = {one.name: one.labels for of_process in described.values() for one in of_process}
    text = (metrics.PAGE.parent / "operations.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:billing|sidecar)_[a-z_]+)(?:\{([a-z_,]+)\})?`", text)
    assert len(named) > 40
    for name, labels in named:
        assert name in known
        assert not labels or set(labels.split(",")) <= set(known[name]), name
