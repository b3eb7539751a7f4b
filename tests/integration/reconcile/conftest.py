"""An office of its own for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.support.reconciling import Office, opened_office


@pytest.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    """A running town with an office."""
    async with opened_office(database_url) as office:
        yield office
