"""What comes before a run: asking for it, and looking without writing."""

import asyncio
from typing import Any

from tests.support.reconciling import Office
from tests.support.town import owned
from writer.gateway.stripe_lists import Listing
from writer.reconcile.runs import RunId, request_run


async def test_the_sweep_asks_for_a_run_in_its_own_transaction(office: Office) -> None:
    """A run that is asked for is there when the transaction is committed, and only then."""
    transactions = office.town.ingest.transactions

    async def failing(connection: Any) -> RunId | None:
        await request_run(connection, "sweep", full=True)
        raise RuntimeError

    await asyncio.gather(transactions.run(failing), return_exceptions=True)
    assert await office.requests.recent(10) == []
    run_id = await transactions.run(lambda connection: request_run(connection, "sweep", full=True))
    assert [(run.id, run.cause, run.whole) for run in await office.requests.recent(10)] == [(run_id, "sweep", True)]


async def test_walking_dry_tells_and_writes_nothing(office: Office) -> None:
    """An import's dry run sees the same differences, page by page, before anything is applied."""
    price = await office.town.price("archive", None)
    await office.miss()
    session = await office.town.shop.bought(price, mode="payment", metadata=owned())
    page = await office.walk().page(Listing.SESSIONS)
    assert [(one.id, one.standing.value) for one in page.objects] == [(session.id, "unknown")]
    assert not await office.town.ingest.query("SELECT id FROM purchases")
    assert not await office.town.ingest.query("SELECT id FROM stripe_objects WHERE id = :id", id=session.id)
