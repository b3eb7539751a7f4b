"""Fixtures of the stand-in's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.support.stripe_standin import Shop, opened


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A running stand-in with a receiver and the SDK."""
    async with opened() as shop:
        yield shop
