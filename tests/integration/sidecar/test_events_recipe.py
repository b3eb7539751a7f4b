"""The recipe for events, run as it stands in the documentation."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from sandbox.ports import free_port
from sidecar.app import running as running_sidecar
from sidecar.settings import Settings
from tests.support.history import PROJECT, History, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import until

RECIPE = Path(__file__).resolve().parents[3] / "docs" / "recipes" / "events.md"
Follow = Callable[[str, str, Callable[[str, Any], None]], Awaitable[None]]


@pytest.fixture
def follow() -> Follow:
    """The function in the recipe."""
    (block,) = re.findall(r"^```python\n(.*?)^```$", RECIPE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    namespace: dict[str, Any] = {}
    exec(compile(block, str(RECIPE), "exec"), namespace)
    return cast("Follow", namespace["follow"])


async def test_a_follower_lives_through_a_restart(
    redis_url: str, publisher: Publisher, history: History, follow: Follow
) -> None:
    """What holds comes first; after a restart of the sidecar, what changed meanwhile, and nothing twice."""
    port = free_port()
    environment = {
        "SIDECAR_PROJECT": PROJECT,
        "REDIS_URL": redis_url,
        "SIDECAR_LISTEN": f"127.0.0.1:{port}",
        "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0",
    }
    settings = Settings.from_mapping(environment)
    heard: list[tuple[str, Any]] = []
    following = asyncio.ensure_future(
        follow(f"http://127.0.0.1:{port}", "ann", lambda name, data: heard.append((name, data)))
    )
    async with running_sidecar(settings):
        await until(lambda: heard)
    history.change("ann", grant("seats", 8))
    await publisher.relay()
    async with running_sidecar(settings):
        await until(lambda: len(heard) == 2)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert [(name, data["cause"]) for name, data in heard] == [
        ("entitlements", "connected"),
        ("entitlements", "resync"),
    ]
    assert heard[1][1]["features"]["seats"]["value"] == 8
