"""What the product's own classes must find on any Postgres, the model among them. Each case is one behaviour."""

import asyncio
from typing import Final

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from common.catalogue import Catalogue
from common.clock import SystemClock
from common.document import Document
from common.identifiers import UserId
from common.position import Position
from tests.contract.postgres_model.ground import Case, Ground
from tests.support.history import grant
from tests.support.ledger import Ledger
from writer import outbox
from writer.db.transaction import LineageMovedError, Transactions
from writer.documents import Documents
from writer.lineage import LineageKeeper
from writer.recompute import UserKey, lock_users
from writer.relay import lease
from writer.relay.backlog import Backlog, Page
from writer.relay.heads import Heads
from writer.relay.lease import Leases
from writer.relay.metrics import RelayMetrics
from writer.relay.project_snapshot import ProjectSnapshots
from writer.wakeup import Wakeup

_CLOCK: Final = SystemClock()


def _keeper(ground: Ground) -> LineageKeeper:
    return LineageKeeper(ground.engine, RelayMetrics(CollectorRegistry()), lambda: None, _CLOCK)


async def _head(ledger: Ledger) -> Position:
    return (await Heads(ledger.engine, Wakeup()).read(ledger.project_id)).position


async def _grant(connection: AsyncConnection, ledger: Ledger, user: str) -> list[outbox.Revision]:
    (ref,) = (await lock_users(connection, [UserKey(ledger.project_id, UserId(user))])).values()
    change = outbox.UserChange(ledger.project_id, ref, UserId(user), (grant(),), 0, 0)
    return await outbox.append_users(connection, [change], outbox.Cause("test"), _CLOCK.now())


def _told(page: Page) -> list[tuple[int, str | None, int]]:
    return [
        (e.position.revision, e.body.user_id if isinstance(e.body, Document) else None, e.count) for e in page.entries
    ]


async def the_outbox_holds_every_revision_in_order(ground: Ground) -> None:
    """A page begins behind a position, ends at its limit, and names the head; digests stand on the rows."""
    ledger = await ground.ledger()
    await ledger.edit("pro")
    await ledger.change_many({"ann": [grant()], "bob": [grant("seats", 5)]})
    await ledger.change("ann")
    backlog = Backlog(ground.engine)
    page = await backlog.page(ledger.project_id, Position(1, 0), 10)
    assert _told(page) == [(1, None, 0), (2, "ann", 1), (3, "bob", 2), (4, "ann", 1)]
    assert isinstance(page.entries[0].body, Catalogue)
    assert page.head.position == (1, 4)
    assert (page.head.standing.count, page.head.standing.digest) == (1, page.entries[-1].digest)
    assert _told(await backlog.page(ledger.project_id, Position(1, 1), 2)) == [(2, "ann", 1), (3, "bob", 2)]
    assert _told(await backlog.page(ledger.project_id, Position(1, 4), 2)) == []
    assert _told(await backlog.page(ledger.project_id, Position(2, 0), 2)) == []
    tail = await backlog.tail(ledger.project_id, Position(1, 3), 2)
    assert [entry.position.revision for entry in tail] == [2, 3]


async def relaying_begins_at_the_cursor_or_where_the_epoch_does(ground: Ground) -> None:
    """A cursor of this epoch holds, with its standing while its row is kept; any other leads to the epoch's start."""
    ledger = await ground.ledger()
    backlog = Backlog(ground.engine)
    empty = await backlog.start(ledger.project_id, Position(0, 0))
    assert (empty.position, empty.logged) == ((1, 0), False)
    await ledger.change("ann", grant())
    await ledger.change("bob", grant())
    first = await backlog.start(ledger.project_id, Position(1, 1))
    assert (first.position, first.logged) == ((1, 1), True)
    assert first.standing is not None
    assert first.standing.count == 1
    beyond = await backlog.start(ledger.project_id, Position(1, 7))
    assert (beyond.position, beyond.standing, beyond.logged) == ((1, 0), None, False)
    assert await _keeper(ground).raise_epoch(ledger.project_id, Position(1, 7), "redis")
    risen = await backlog.start(ledger.project_id, Position(1, 2))
    assert (risen.position.revision, risen.logged) == (2, False)
    assert risen.standing is not None
    assert risen.standing.count == 2


async def two_who_change_at_once_get_revisions_one_after_the_other(ground: Ground) -> None:
    """Without a gap, and with the digest of both."""
    ledger = await ground.ledger()
    await asyncio.gather(*[ledger.change(f"user_{number}", grant()) for number in range(4)])
    page = await Backlog(ground.engine).page(ledger.project_id, Position(1, 0), 10)
    assert [(entry.position.revision, entry.count) for entry in page.entries] == [(n, n) for n in range(1, 5)]
    assert page.head.standing.digest == page.entries[-1].digest


async def nobody_sees_what_is_not_committed(ground: Ground) -> None:
    """Another connection finds the state before; who wants the same project waits; what is rolled back never was."""
    ledger = await ground.ledger()
    await ledger.change("ann", grant())
    heads = Heads(ground.engine, Wakeup())
    begun, ended = asyncio.Event(), asyncio.Event()

    async def give_up() -> None:
        async with ground.engine.begin() as connection:
            await _grant(connection, ledger, "bob")
            begun.set()
            await ended.wait()
            raise KeyError("given up")

    first = asyncio.create_task(give_up())
    await begun.wait()
    assert (await heads.read(ledger.project_id)).position == (1, 1)
    second = asyncio.create_task(ledger.change("eve", grant()))
    ended.set()
    with pytest.raises(KeyError):
        await first
    assert (await second).position == (1, 2)
    assert _told(await Backlog(ground.engine).page(ledger.project_id, Position(1, 1), 9)) == [(2, "eve", 2)]


async def heads_are_read_of_all_projects_and_of_one(ground: Ground) -> None:
    """Position, number and digest, as committed."""
    ledger = await ground.ledger()
    await ledger.change("ann", grant())
    heads = Heads(ground.engine, Wakeup())
    await heads.look()
    assert heads.of(ledger.project_id) == await heads.read(ledger.project_id)
    assert (await heads.read(ledger.project_id)).standing.count == 1
    assert await heads.beyond(ledger.project_id, Position(1, 0), 5.0)


async def a_snapshot_stays_where_it_was_opened(ground: Ground) -> None:
    """Whatever is committed meanwhile: head, catalogue and documents fit together, in every way to read them."""
    ledger = await ground.ledger()
    await ledger.edit("pro")
    await ledger.change_many({"ann": [grant()], "bob": [grant("seats", 5)], "eve": [grant()]})
    await ledger.change("eve")
    async with ProjectSnapshots(ground.engine).open(ledger.project_id) as snapshot:
        await ledger.change("ann")
        await ledger.change("joe", grant())
        assert (snapshot.head.position, snapshot.head.count) == ((1, 5), 2)
        assert (snapshot.head.catalogue.position, list(snapshot.head.catalogue.features)) == ((1, 1), ["pro"])
        everything = [row async for rows in snapshot.documents(with_empty=True) for row in rows]
        held = [row async for rows in snapshot.documents(with_empty=False) for row in rows]
        assert sorted((row.user_id, row.position.revision) for row in everything) == [
            ("ann", 2),
            ("bob", 3),
            ("eve", 5),
        ]
        assert sorted(row.user_id for row in held) == ["ann", "bob"]
        assert [row.is_empty for row in everything if row.user_id == "eve"] == [True]
        digest = 0
        for row in everything:
            digest ^= row.digest
        assert digest == snapshot.head.digest
        walked = await snapshot.after(0, 2)
        walked += await snapshot.after(walked[-1].user_ref, 2)
        assert {row.user_id for row in walked} == {"ann", "bob", "eve"}
        assert [row.user_id for row in await snapshot.of([UserId("bob"), UserId("nobody")])] == ["bob"]


async def a_lease_is_held_until_it_ends_or_is_given_back(ground: Ground) -> None:
    """Nobody else gets it meanwhile; its owner keeps the fence, the next one gets a higher one."""
    ledger = await ground.ledger()
    one, two = Leases(ground.engine, "one", _CLOCK), Leases(ground.engine, "two", _CLOCK)
    first = (await one.renew())[ledger.project_id]
    assert (await two.renew(), first.fence) == ({}, 1)
    assert (await one.renew())[ledger.project_id].fence == 1
    await one.release()
    second = (await two.renew())[ledger.project_id]
    assert second.fence == 2
    assert await one.renew() == {}


async def a_lease_that_is_not_renewed_goes_to_another(ground: Ground) -> None:
    """Once the database's clock says so; the old owner's cursor moves no more."""
    ledger = await ground.ledger()
    one, two = Leases(ground.engine, "one", _CLOCK), Leases(ground.engine, "two", _CLOCK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "LEASE_SECONDS", 0.05)
        first = (await one.renew())[ledger.project_id]
        taken = await two.renew()
        while not taken:
            await asyncio.sleep(0.02)
            taken = await two.renew()
    assert taken[ledger.project_id].fence == first.fence + 1
    assert not await one.advance(first, Position(1, 3))


async def a_cursor_only_goes_forward(ground: Ground) -> None:
    """Also over epochs: a revision of an earlier one counts for nothing."""
    ledger = await ground.ledger()
    leases = Leases(ground.engine, "one", _CLOCK)
    held = (await leases.renew())[ledger.project_id]
    for position, expected in (((1, 5), (1, 5)), ((1, 3), (1, 5)), ((2, 4), (2, 4)), ((1, 9), (2, 4))):
        assert await leases.advance(held, Position(*position))
        assert (await leases.renew())[ledger.project_id].cursor == expected


async def an_epoch_rises_above_what_was_seen(ground: Ground) -> None:
    """But not where that is committed, or where hearsay names a lineage that cannot have been; revisions stay."""
    ledger = await ground.ledger()
    await ledger.change("ann", grant())
    keeper = _keeper(ground)
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
    keeper = _keeper(ground)
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
    keeper = _keeper(ground)
    await keeper.check()
    before = await _head(ledger)
    await ground.move_tables()
    with pytest.raises(LineageMovedError):
        await ledger.change("ann", grant())

    async def work(connection: AsyncConnection) -> list[outbox.Revision]:
        return await _grant(connection, ledger, "ann")

    (revision,) = await Transactions(ground.engine, keeper).run(work)
    assert revision.position.epoch > before.epoch
    assert (await _head(ledger)) == revision.position


async def nothing_is_committed_in_another_cluster_before_the_new_epoch(ground: Ground) -> None:
    """Whoever comes by a new connection looks where it leads before a revision is given over it."""
    ledger = await ground.ledger()
    keeper = _keeper(ground)
    await keeper.check()
    before = await _head(ledger)
    await ground.move_cluster()
    await ground.engine.dispose()  # as a restored server ends every connection
    revisions = await Transactions(ground.engine, keeper).run(lambda connection: _grant(connection, ledger, "ann"))
    assert [revision.position.epoch > before.epoch for revision in revisions] == [True]


async def only_what_is_relayed_and_not_among_the_last_is_trimmed(ground: Ground) -> None:
    """What is left follows without a gap; who asks for what went finds a head beyond an empty page."""
    ledger = await ground.ledger()
    for number in range(6):
        await ledger.change(f"user_{number}", grant())
    leases = Leases(ground.engine, "one", _CLOCK)
    held = (await leases.renew())[ledger.project_id]
    await leases.advance(held, Position(1, 3))

    async def trim(keep: int, seconds: float) -> int:
        async with ground.engine.begin() as connection:
            return await outbox.trim(connection, ledger.project_id, keep_seconds=seconds, keep_entries=keep)

    assert [await trim(0, 60.0), await trim(4, -1.0), await trim(0, -1.0)] == [0, 2, 1]
    backlog = Backlog(ground.engine)
    assert [e.position.revision for e in (await backlog.page(ledger.project_id, Position(1, 0), 9)).entries] == [
        4,
        5,
        6,
    ]
    start = await backlog.start(ledger.project_id, Position(1, 3))
    assert (start.position, start.standing, start.logged) == ((1, 3), None, False)


async def a_users_document_is_read_with_its_head(ground: Ground) -> None:
    """An empty one at the head for somebody who is not known."""
    ledger = await ground.ledger()
    await ledger.change("ann", grant())
    await ledger.change("bob", grant("seats", 5))
    documents = Documents(ground.engine, _CLOCK)
    held = await documents.held(ledger.project_id, UserId("ann"))
    assert (held.document.position, held.document.entitlements, held.head) == ((1, 1), (grant(),), (1, 2))
    unknown = await documents.held(ledger.project_id, UserId("joe"))
    assert (unknown.document.position, unknown.document.entitlements) == ((1, 2), ())


CASES: Final[dict[str, Case]] = {
    case.__name__: case
    for case in (
        the_outbox_holds_every_revision_in_order,
        relaying_begins_at_the_cursor_or_where_the_epoch_does,
        two_who_change_at_once_get_revisions_one_after_the_other,
        nobody_sees_what_is_not_committed,
        heads_are_read_of_all_projects_and_of_one,
        a_snapshot_stays_where_it_was_opened,
        a_lease_is_held_until_it_ends_or_is_given_back,
        a_lease_that_is_not_renewed_goes_to_another,
        a_cursor_only_goes_forward,
        an_epoch_rises_above_what_was_seen,
        another_database_begins_new_epochs,
        nothing_is_committed_before_the_new_epoch,
        nothing_is_committed_in_another_cluster_before_the_new_epoch,
        only_what_is_relayed_and_not_among_the_last_is_trimmed,
        a_users_document_is_read_with_its_head,
    )
}
"""By name."""
