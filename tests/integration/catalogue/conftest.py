"""The operator's side of a writer, on a database of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.support.operating import Operating, operating_side


@pytest.fixture
async def side(database_url: str) -> AsyncIterator[Operating]:
    """Routes and operations behind a real HTTP server."""
    async with operating_side(database_url) as made:
        yield made
