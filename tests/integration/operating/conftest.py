"""The path from event to document with the operator's side beside it, on one database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.support.ingest import Ingest, opened
from tests.support.operating import Operating, operating_side


@dataclass(frozen=True, slots=True)
class Desk:
    """What arrives, and what an operator does about it."""

    ingest: Ingest
    side: Operating
    database_url: str


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    """A project `shop`; the pipeline works when told to."""
    async with opened(database_url) as ingest, operating_side(database_url) as side:
        yield Desk(ingest, side, database_url)
