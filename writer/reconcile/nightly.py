"""Begins the nightly run: whichever writer comes first, once a night."""

import asyncio
import logging
from datetime import UTC, datetime, time, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Clock, to_datetime
from writer.db.transaction import Transactions
from writer.reconcile.runs import RunId, request_run
from writer.supervision import DATABASE_FAULTS, Outage, is_waited_out, jittered
from writer.wakeup import Wakeup

_log = logging.getLogger(__name__)

CAUSE: Final = "nightly"
_LOOK_SECONDS: Final = 20.0
_SUNDAY: Final = 6
_OVERDUE: Final = timedelta(hours=25)


class Nightly:
    """Asks for a run each night at `at` (UTC). On Sundays everything is listed, also what is long over.

    A writer that comes up after the hour leaves a new service alone; where nights were had before, it catches up.
    """

    def __init__(self, transactions: Transactions, clock: Clock, at: time, wakeup: Wakeup) -> None:
        self._transactions = transactions
        self._clock = clock
        self._at = at
        self._wakeup = wakeup
        self._looked_at = self._now()
        self._outage = Outage("the database (nightly reconcile)")

    async def run(self) -> None:
        """Look at the clock now and then, until cancelled."""
        while True:
            await asyncio.sleep(jittered(_LOOK_SECONDS))
            try:
                await self.look()
            except DATABASE_FAULTS as error:
                if not is_waited_out(error):
                    raise
                self._outage.failed(error)
            else:
                self._outage.worked()

    async def look(self) -> RunId | None:
        """Begin this night's run if its time came since the last look, or if a night was missed."""
        now = self._now()
        moment = datetime.combine(now.date(), self._at, UTC)
        if moment > now:
            moment -= timedelta(days=1)
        came = self._looked_at < moment

        async def work(connection: AsyncConnection) -> RunId | None:
            last = (await connection.execute(_LAST)).scalar_one()
            if not came and (last is None or now - last < _OVERDUE):
                return None
            night = moment.date()
            return await request_run(connection, CAUSE, full=night.weekday() == _SUNDAY, night=night)

        begun = await self._transactions.run(work)
        self._looked_at = now
        if begun is not None:
            _log.info("the nightly reconcile begins run=%d night=%s", begun, moment.date())
            self._wakeup.notify()
        return begun

    def _now(self) -> datetime:
        return to_datetime(self._clock.now())


_LAST: Final = text("SELECT max(created_at) FROM reconcile_runs WHERE night IS NOT NULL")
