"""A project on a fresh database, and the path from event to document."""

from collections.abc import AsyncIterator

import pytest

from tests.support.ingest import Ingest, opened


@pytest.fixture
async def ingest(database_url: str) -> AsyncIterator[Ingest]:
    """The path, ready to be fed; the pipeline does not run by itself."""
    async with opened(database_url) as ingest:
        yield ingest
