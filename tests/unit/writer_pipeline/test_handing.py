"""What is handed to the lanes is worked on, however often and whenever it is handed."""

import asyncio
from contextlib import suppress

import pytest

from common.clock import SystemClock
from tests.support.waiting import until
from writer.gateway.fetching import FetchNeededError, allow_or_raise
from writer.lanes import Lanes


class Desk:
    """Processes objects that all have to be fetched; another event arrives while each is looked at."""

    def __init__(self, arrivals: int) -> None:
        self.lanes = Lanes(self.process, SystemClock(), workers=4, fetchers=2)
        self.looks = 0
        self.fetched = 0
        self._arrivals = arrivals

    async def process(self, object_id: str) -> None:
        """Look at the object; fetch it where that is allowed."""
        await asyncio.sleep(0)
        if self._arrivals:
            self._arrivals -= 1
            self.lanes.hand(object_id)
        try:
            allow_or_raise()
        except FetchNeededError:
            self.looks += 1
            self.lanes.fetch(object_id)
        else:
            self.fetched += 1


@pytest.mark.parametrize("arrivals", [1, 2, 7])
async def test_an_object_handed_again_while_it_is_looked_at_is_fetched(arrivals: int) -> None:
    """The two lanes do not hand it to and fro: the fetch begins, and what came meanwhile is looked at afterwards."""
    desk = Desk(arrivals)
    tasks = [asyncio.ensure_future(job()) for job in desk.lanes.jobs().values()]
    try:
        desk.lanes.hand("sub_1")
        lanes = desk.lanes
        await until(lambda: desk.fetched > 0 and not (lanes.busy or lanes.waiting or lanes.fetching))
        assert desk.looks <= arrivals + 2
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
