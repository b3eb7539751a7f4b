"""What the product must find where a project's relay belongs to one writer at a time. Each case is one behaviour."""

import asyncio

import pytest

from common.position import Position
from tests.contract.postgres_model.ground import CLOCK, Ground
from writer.relay import lease
from writer.relay.lease import Leases


async def a_lease_is_held_until_it_ends_or_is_given_back(ground: Ground) -> None:
    """Nobody else gets it meanwhile; its owner keeps the fence, the next one gets a higher one."""
    ledger = await ground.ledger()
    one, two = Leases(ground.engine, "one", CLOCK), Leases(ground.engine, "two", CLOCK)
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
    one, two = Leases(ground.engine, "one", CLOCK), Leases(ground.engine, "two", CLOCK)
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
    leases = Leases(ground.engine, "one", CLOCK)
    held = (await leases.renew())[ledger.project_id]
    for position, expected in (((1, 5), (1, 5)), ((1, 3), (1, 5)), ((2, 4), (2, 4)), ((1, 9), (2, 4))):
        assert await leases.advance(held, Position(*position))
        assert (await leases.renew())[ledger.project_id].cursor == expected
