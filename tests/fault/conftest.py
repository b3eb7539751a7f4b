"""The whole stack with real processes, shared by the tests of one module; every test has users of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.stack import Stack, StackConfig


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Postgres, Redis, the stand-in, one writer, two sidecars."""
    async with Stack(StackConfig(tmp_path_factory.mktemp("stack"))) as running:
        yield running
