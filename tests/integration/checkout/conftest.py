"""A shop on a fresh database and a fresh Stripe."""

from collections.abc import AsyncIterator

import pytest

from sandbox.stripe.server import Options, StripeStandIn
from tests.support.checkout import Shop, open_shop


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    """A project `notes` with two writers; see `open_shop`."""
    async with StripeStandIn(Options()) as standin, open_shop(database_url, standin) as shop:
        yield shop
