"""What the product must find where a database was restored, and epochs rise. Each case is one behaviour."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from common.position import Position
from tests.contract.postgres_model.ground import Ground, grant_to, keeper_on
from tests.support.history import grant
from tests.support.ledger import Ledger
from writer import outbox
from writer.db.transaction import LineageMovedError, Transactions
from writer.relay.heads import Heads
from writer.wakeup import Wakeup


async def _head(ledger: Ledger) -> Position:
    return (await Heads(ledger.engine, Wakeup()).read(ledger.project_id)).position


async def an_epoch_rises_above_what_was_seen(ground: Ground) -> None:
    """But not where that is committed, or where hearsay names a lineage that cannot have been; revisions stay."""
    ledger = await ground.ledger()
    await ledger.change("ann", grant())
    keeper = keeper_on(ground)
    assert not await keeper.raise_epoch(ledger.project_id, Position(1, 1), "redis")
    assert not await keeper.raise_epoch(ledger.project_id, Position(4_000_000_000, 1), "sidecar")
    assert await keeper.raise_epoch(ledger.project_id, Position(1, 2), "sidecar")
    risen = await _head(ledger)
    assert risen.epoch > 1
    assert risen.revision == 1
    assert await keeper.raise_epoch(ledger.project_id, Position(risen.epoch + 50, 1), "redis")
    assert (await _head(ledger)).epoch == risen.epoch + 51


async def another_database_begins_new_epochs(ground: Ground) -> None:
    """The first look only takes note. Where tables or cluster are others, each project rises once."""
    ledger = await ground.ledger()
    await ledger.change("ann", grant())
    keeper = keeper_on(ground)
    await keeper.check()
    first = await _head(ledger)
    await keeper.check()
    assert await _head(ledger) == first
    for move in (ground.move_tables, ground.move_cluster):
        before = await _head(ledger)
        await move()
        await keeper.check()
        after = await _head(ledger)
        assert after.epoch > before.epoch
        assert after.revision == before.revision
        await keeper.check()
        assert await _head(ledger) == after


async def nothing_is_committed_before_the_new_epoch(ground: Ground) -> None:
    """In tables that were made anew no revision is given; a transaction that is run whole sees to the epoch itself."""
    ledger = await ground.ledger()
    keeper = keeper_on(ground)
    await keeper.check()
    before = await _head(ledger)
    await ground.move_tables()
    with pytest.raises(LineageMovedError):
        await ledger.change("ann", grant())

    async def work(connection: AsyncConnection) -> list[outbox.Revision]:
        return await grant_to(connection, ledger, "ann")

    (revision,) = await Transactions(ground.engine, keeper).run(work)
    assert revision.position.epoch > before.epoch
    assert (await _head(ledger)) == revision.position


async def nothing_is_committed_in_another_cluster_before_the_new_epoch(ground: Ground) -> None:
    """Whoever comes by a new connection looks where it leads before a revision is given over it."""
    ledger = await ground.ledger()
    keeper = keeper_on(ground)
    await keeper.check()
    before = await _head(ledger)
    await ground.move_cluster()
    await ground.engine.dispose()  # as a restored server ends every connection
    revisions = await Transactions(ground.engine, keeper).run(lambda connection: grant_to(connection, ledger, "ann"))
    assert [revision.position.epoch > before.epoch for revision in revisions] == [True]
