"""An import: the account is read, told of, and then brought in by the walk that reconciling takes."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import SECOND
from writer.domain.entitle import Grace
from writer.gateway.rate_limit import Urgency
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.stripe_lists import StripeLists
from writer.gateway.transport import StripeTransport
from writer.operations import audit
from writer.operations.audit import Act, Actor
from writer.operations.operating import Ground
from writer.reconcile import runs
from writer.reconcile.abreast import Abreast
from writer.reconcile.assembly import standalone, worker
from writer.reconcile.runs import Run, RunId
from writer.reconcile.stages import RunKind
from writer.settings import GraceSettings
from writer.takeover import account, here, links, owners, report
from writer.takeover.customer_map import Mapped
from writer.takeover.links import Link, Linking, Links
from writer.takeover.report import ImportReport
from writer.wakeup import Wakeup

_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Survey:
    """The account as it is and will be; nothing was written."""

    report: ImportReport
    links: Links


@dataclass(frozen=True, slots=True)
class Imported:
    """What was done: customers that are newly somebody's, and the run as it ended."""

    linked: int
    run: Run


class Import:
    """Surveys and imports. It raises what Stripe's being away raises, and CustomerMapError."""

    def __init__(self, ground: Ground, transport: StripeTransport, grace: GraceSettings, *, livemode: bool) -> None:
        self._ground = ground
        self._transport = transport
        self._livemode = livemode
        self._grace = Grace(
            entitlement=round(grace.entitlement * SECOND),
            trial=round(grace.trial * SECOND),
            past_due=round(grace.past_due * SECOND),
        )

    async def survey(self, mapped: Mapping[str, Mapped], told: account.Told) -> Survey:
        """Read everything and work out what an import would come to."""
        urgency = Urgency.BACKGROUND
        gateway, lists = StripeGateway(self._transport, urgency), StripeLists(self._transport, urgency)
        found = await account.read(lists, gateway, told)
        known = await self._ground.transactions.run(here.read)
        placed = here.places(known, found)
        decided = owners.decide(found, known, placed, mapped)
        checked = links.check(mapped, found, known, decided)
        now = self._ground.clock.now()
        return Survey(report.make(found, known, decided, placed, self._grace, now), checked)

    async def bring(
        self, survey: Survey, actor: Actor, linking_told: Callable[[int, int], None], told: Callable[[Run], None]
    ) -> Imported:
        """Write whose customers are, then walk through the account; cut off, the next call goes on.

        `linking_told` hears how many of the map's customers are done, and how many there are; `told` of the walk.
        """
        name = f"{actor.name}:{uuid4().hex[:8]}"
        ground = self._ground
        station = standalone(
            ground.engine,
            ground.transactions,
            ground.recompute,
            ground.clock,
            self._transport,
            instance=name,
            livemode=self._livemode,
        )
        linking = Linking(ground.transactions, station.applier.assignment, livemode=self._livemode)
        told_of = 0

        async def link(one: Link) -> bool:
            nonlocal told_of
            is_new = await linking.write(one, actor)
            told_of += 1
            linking_told(told_of, len(survey.links.links))
            return is_new

        linked = sum(await Abreast(station.pause).each(survey.links.links, link))
        run = await ground.transactions.run(lambda connection: self._begin(connection, actor))
        working = worker(station, Wakeup())
        while run.finished_at is None:
            worked = await working.work_on(RunKind.IMPORT, run.id, told)
            run = await self._run(run.id) if worked is None else worked
            told(run)
            if run.finished_at is None:
                await asyncio.sleep(_POLL_SECONDS)
        return Imported(linked, run)

    async def _begin(self, connection: AsyncConnection, actor: Actor) -> Run:
        """The import that was cut off, or a new one."""
        run_id = await runs.request_run(connection, f"operator:{actor.name}", full=True, kind=RunKind.IMPORT)
        if run_id is None:
            raise AssertionError("only a night can have had its run")
        await audit.record(connection, actor, Act("import.begin", None, f"reconcile:{run_id}"))
        return await _known(connection, run_id)

    async def _run(self, run_id: RunId) -> Run:
        return await self._ground.transactions.run(lambda connection: _known(connection, run_id))


async def _known(connection: AsyncConnection, run_id: RunId) -> Run:
    run = await runs.read(connection, run_id)
    if run is None:
        raise AssertionError("runs are never deleted while they are open")
    return run
