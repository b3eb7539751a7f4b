"""The path from event to document with the operator's side beside it, on one database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from common.http import middleware
from tests.support.explaining import Counter, opened_counter
from tests.support.ingest import Ingest, opened
from tests.support.operating import ADMIN, Operating, operating_side
from writer.admin.claims import ClaimRoutes
from writer.operations.claims import Claims


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


@pytest.fixture
async def claiming(desk: Desk) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """The routes that need Stripe too, over the Stripe in memory."""
    ingest, side = desk.ingest, desk.side
    common = (ingest.engine, ingest.transactions, ingest.recompute)
    desk_of_claims = Claims(*common, ingest.applier, ingest.stripe, ingest.relay.notify, livemode=False)
    app = web.Application(middlewares=[middleware])
    app.add_routes(ClaimRoutes(side.auth, desk_of_claims).routes())
    async with TestClient(TestServer(app), headers=ADMIN) as client:
        yield client


@pytest.fixture
async def counter(desk: Desk) -> AsyncIterator[Counter]:
    """Where an operator asks why, on the project `shop`."""
    async with opened_counter(desk.ingest, desk.side.auth) as counter:
        yield counter
