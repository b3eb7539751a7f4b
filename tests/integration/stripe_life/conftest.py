"""A town of its own for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.support.town import Town, opened_town


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    """A running town."""
    async with opened_town(database_url) as town:
        yield town
