"""Works on a run, step by step: a page of a list, a handful of what was not listed, a chunk of owners."""

import logging
from itertools import groupby
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Instant
from writer.apply.assignment import Assignment
from writer.catalogue import store
from writer.db.transaction import Transactions
from writer.domain.stripe.kinds import ObjectKind
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError
from writer.gateway.stripe_lists import Listing
from writer.outbox import Cause
from writer.reconcile import findings, ownership, runs, unlisted
from writer.reconcile.abreast import Abreast
from writer.reconcile.findings import Finding, FindingKind
from writer.reconcile.repair import Repair
from writer.reconcile.runs import ClaimLostError, Run
from writer.reconcile.stages import Stage, bound, following, listing
from writer.reconcile.walk import ComparedPage, Walk
from writer.supervision import DATABASE_FAULTS, is_outage
from writer.wakeup import Wakeup

_log = logging.getLogger(__name__)

_PATIENCE: Final = 6
"""Failures in a row after which a list that this key may not read, say, is left out: about a minute."""

_STRANGE: Final = (
    "Stripe has none of what is held, as far as it was asked: "
    "is STRIPE_SECRET_KEY of the account that they were bought in?"
)


class Reconciler:
    """Does one step of a claimed run at a time. It raises what stops a run for a while: Stripe or the database away.

    ClaimLostError where somebody else goes on with the run.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        transactions: Transactions,
        walk: Walk,
        repair: Repair,
        assignment: Assignment,
        relay: Wakeup,
        abreast: Abreast,
        *,
        livemode: bool,
    ) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._transactions = transactions
        self._walk = walk
        self._repair = repair
        self._assignment = assignment
        self._relay = relay
        self._abreast = abreast
        self._livemode = livemode

    async def step(self, run: Run) -> Run:
        """The run after one more step."""
        try:
            return await self._step(run)
        except (StripeUnavailableError, ClaimLostError):
            raise
        except Exception as error:
            # Nobody foresaw it: tried again for a while, and then the other stages have their turn.
            if run.attempts < _PATIENCE or (isinstance(error, DATABASE_FAULTS) and is_outage(error)):
                raise
            _log.exception("reconcile gives a stage up run=%d stage=%s", run.id, run.stage.value)
            await self._repair.failed(run, run.stage.value, type(error).__name__)
            return await self._transactions.run(lambda connection: self._next(connection, run, None, 0))

    async def _step(self, run: Run) -> Run:
        listed = listing(run.stage, whole=run.whole)
        if listed is not None:
            return await self._list(run, listed)
        if run.stage in unlisted.KINDS:
            return await self._look_up(run, unlisted.KINDS[run.stage])
        if run.stage in ownership.STAGES:
            return await self._owners(run)
        return await self._finish(run)

    async def _list(self, run: Run, listed: Listing) -> Run:
        try:
            page = await self._walk.page(listed, since=bound(listed, run.since), after=run.cursor)
        except StripeRefusedError as error:
            return await self._refused(run, listed, error)
        except StripeUnavailableError as error:
            # A key that may not read this list says so for ever; when nothing at all answers, no list is passed over.
            if run.attempts < _PATIENCE or error.repeatable or error.retry_after is not None:
                raise
            return await self._pass_over(run, listed, str(error))
        # One kind behind the other: a subscription whose customer is not there yet would have it fetched.
        for _, objects in groupby(page.objects, key=lambda compared: compared.kind):
            await self._abreast.each(list(objects), lambda compared: self._repair.listed(run, compared))
        return await self._turn(run, page)

    async def _turn(self, run: Run, page: ComparedPage) -> Run:
        """Turn the page: all of it was compared, and what differed is right or noted."""
        began_at = run.began_at or page.as_of
        behind = following(run.kind, run.stage, whole=run.whole)

        async def work(connection: AsyncConnection) -> Run:
            if behind in unlisted.KINDS:
                await unlisted.mark(connection, page.objects)
            if page.more:
                return await runs.move(
                    connection, run, stage=run.stage, cursor=page.last, began_at=began_at, checked=len(page.objects)
                )
            return await self._next(connection, run, began_at, len(page.objects))

        return await self._transactions.run(work)

    async def _refused(self, run: Run, listed: Listing, error: StripeRefusedError) -> Run:
        if run.cursor is not None and error.param == "starting_after":
            _log.info("reconcile run=%d lists again, as what it stood at is gone list=%s", run.id, listed.value)
            return await self._transactions.run(
                lambda connection: runs.move(connection, run, stage=run.stage, cursor=None, began_at=run.began_at)
            )
        return await self._pass_over(run, listed, str(error))

    async def _pass_over(self, run: Run, listed: Listing, reason: str) -> Run:
        await self._repair.failed(run, listed.value, reason)
        # Without its whole list, nothing of it counts as not listed.
        return await self._transactions.run(lambda connection: self._next(connection, run, None, 0))

    async def _look_up(self, run: Run, kind: ObjectKind) -> Run:
        if run.began_at is None:
            return await self._transactions.run(lambda connection: self._next(connection, run, None, 0))
        async with self._engine.connect() as connection:
            ids = await unlisted.candidates(
                connection, run.stage, run.began_at, run.cursor, livemode=self._livemode, whole=run.whole
            )
            # Nobody deletes a whole catalogue: another account's key shows another one.
            strange = (
                bool(ids)
                and kind in {ObjectKind.PRODUCT, ObjectKind.PRICE}
                and not await unlisted.is_any_listed(connection, run.stage, run.began_at, livemode=self._livemode)
            )
        known = [] if strange else await self._abreast.each(ids, lambda one: self._repair.unlisted(run, kind, one))
        if strange or (len(ids) == unlisted.CHUNK and not any(known)):
            strange = True
            await self._repair.failed(run, run.stage.value, _STRANGE)

        async def work(connection: AsyncConnection) -> Run:
            if ids and not strange:
                return await runs.move(
                    connection, run, stage=run.stage, cursor=ids[-1], began_at=run.began_at, checked=len(ids)
                )
            return await self._next(connection, run, None, len(ids))

        return await self._transactions.run(work)

    async def _owners(self, run: Run) -> Run:
        async with self._engine.connect() as connection:
            looked = await ownership.look(connection, run.stage, run.cursor)
        await self._abreast.each(
            looked.misplaced, lambda one: self._repair.guarded(run, one.id, lambda: self._place(run, one))
        )

        async def work(connection: AsyncConnection) -> Run:
            if looked.last is None:
                return await self._next(connection, run, None, 0)
            return await runs.move(connection, run, stage=run.stage, cursor=looked.last, began_at=None)

        return await self._transactions.run(work)

    async def _place(self, run: Run, one: ownership.Misplaced) -> None:
        kind = _OWNED[run.stage]
        # What would be taken from somebody is asked of Stripe first: the session may name whom no column keeps.
        if not one.vouched and not await self._repair.unlisted(run, kind, one.id):
            return
        if await self._assigned(kind, one.id, Cause(f"{run.kind.value}:{run.id}")):
            self._relay.notify()
        await self._repair.note(run, Finding(FindingKind.REPAIRED, one.id, one.detail), kind.value)

    async def _assigned(self, kind: ObjectKind, object_id: str, cause: Cause) -> bool:
        """Whether that changed what anybody holds."""
        if kind is ObjectKind.CUSTOMER:
            return bool(await self._assignment.customer(object_id, cause))
        if kind is ObjectKind.SUBSCRIPTION:
            return bool(await self._assignment.subscription(object_id, cause))
        return bool(await self._assignment.purchase(object_id, cause))

    async def _finish(self, run: Run) -> Run:
        """Count what is nobody's, and have everybody computed again, a little at a time."""

        async def work(connection: AsyncConnection) -> Run:
            await findings.unassigned(connection, run.id)
            for project_id in (await connection.execute(_PROJECTS_WITHOUT_JOB)).scalars().all():
                await store.add_job(connection, project_id, f"reconcile:{run.id}", None)
            await runs.forget(connection, run)
            return await runs.finish(connection, run)

        return await self._transactions.run(work)

    async def _next(self, connection: AsyncConnection, run: Run, began_at: Instant | None, checked: int) -> Run:
        """Go on with the stage behind this one; a list's beginning goes with it to what was not listed."""
        stage = following(run.kind, run.stage, whole=run.whole)
        if stage is None:
            await findings.unassigned(connection, run.id)
            moved = await runs.move(connection, run, stage=run.stage, cursor=run.cursor, began_at=None, checked=checked)
            return await runs.finish(connection, moved)
        kept = began_at if stage in unlisted.KINDS else None
        return await runs.move(connection, run, stage=stage, cursor=None, began_at=kept, checked=checked)


_OWNED: Final = {
    Stage.OWNERS_OF_CUSTOMERS: ObjectKind.CUSTOMER,
    Stage.OWNERS_OF_SUBSCRIPTIONS: ObjectKind.SUBSCRIPTION,
    Stage.OWNERS_OF_PURCHASES: ObjectKind.SESSION,
}

_PROJECTS_WITHOUT_JOB: Final = text("""
SELECT p.id FROM projects p WHERE NOT EXISTS (SELECT FROM recompute_jobs j
    WHERE j.project_id = p.id AND j.finished_at IS NULL AND j.targets IS NULL AND j.cursor = 0)
ORDER BY p.id
""")
