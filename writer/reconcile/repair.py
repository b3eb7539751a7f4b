"""Repairs what differs, by the way that events take, and notes what came of it in the transaction that did it."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, assert_never

from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.apply.applier import Applier, ObjectMovingError, Outcome, Result
from writer.apply.gateway import Gateway
from writer.db.transaction import CatalogueMovedError, Transactions
from writer.domain.stripe.fields import ShapeError
from writer.domain.stripe.kinds import ObjectKind
from writer.domain.stripe.watermark import Verdict
from writer.gateway.errors import StripeRefusedError, StripeUnavailableError
from writer.gateway.pages import Fetched
from writer.outbox import Cause
from writer.reconcile import findings
from writer.reconcile.findings import Finding, FindingKind
from writer.reconcile.metrics import ReconcileMetrics
from writer.reconcile.runs import Run
from writer.reconcile.walk import Compared, Standing, Walk
from writer.supervision import DATABASE_FAULTS, is_outage

_log = logging.getLogger(__name__)

_PATIENCE: Final = 5
"""Failures in a row at one place after which what cannot be fetched is left out, while lists can be read."""

_REFUSALS: Final = (StripeRefusedError, ShapeError, ObjectMovingError, CatalogueMovedError)
_BUGS_OF_OURS: Final = (DataError, IntegrityError, ProgrammingError)


class Repair:
    """Repairs one object at a time. It raises StripeUnavailableError and outages of the database; else it finds."""

    def __init__(
        self,
        transactions: Transactions,
        applier: Applier,
        gateway: Gateway,
        walk: Walk,
        metrics: ReconcileMetrics,
    ) -> None:
        self._transactions = transactions
        self._applier = applier
        self._gateway = gateway
        self._walk = walk
        self._metrics = metrics

    async def listed(self, run: Run, compared: Compared) -> None:
        """Make right what a list showed to be different."""
        match compared.standing:
            case Standing.UNREADABLE:
                await self.failed(run, compared.id, str(compared.detail.get("reason")))
            case Standing.DIFFERENT | Standing.UNKNOWN if compared.held.fetch(compared.as_of) is Verdict.UNCLEAR:
                # It changed within the seconds around the page: only another look tells whether it is right by now.
                await self.unlisted(run, compared.kind, compared.id)
            case Standing.DIFFERENT | Standing.UNKNOWN:
                await self.guarded(run, compared.id, lambda: self._apply(run, compared))
            case Standing.SAME | Standing.AHEAD:
                return

    async def unlisted(self, run: Run, kind: ObjectKind, object_id: str) -> bool:
        """Fetch, compare and make right what is held and was not on the list; whether Stripe knows it."""
        known = True

        async def work() -> None:
            nonlocal known
            known = await self._look_up(run, kind, object_id)

        await self.guarded(run, object_id, work)
        return known

    async def failed(self, run: Run, object_id: str, reason: str) -> None:
        """Note what could not be compared or repaired; the run goes on."""
        _log.warning("reconcile run=%d cannot settle object=%s reason=%r", run.id, object_id, reason)
        await self.note(run, Finding(FindingKind.FAILED, object_id, {"reason": reason}))

    async def note(self, run: Run, finding: Finding, kind: str = "list") -> None:
        """Record a finding on its own."""
        if await self._transactions.run(lambda connection: findings.record(connection, run.id, finding)):
            self._metrics.found(finding.kind, kind)

    async def _look_up(self, run: Run, kind: ObjectKind, object_id: str) -> bool:
        fetched = await self._fetch(kind, object_id)
        if fetched.object is None or fetched.object.get("deleted"):
            return await self._gone(run, kind, object_id)
        for compared in await self._walk.compare(kind, [fetched.object], fetched.as_of):
            if compared.standing is Standing.UNREADABLE:
                await self.listed(run, compared)
            elif compared.standing in {Standing.DIFFERENT, Standing.UNKNOWN}:
                await self._apply(run, compared)
        return True

    async def _gone(self, run: Run, kind: ObjectKind, object_id: str) -> bool:
        if kind in {ObjectKind.PRODUCT, ObjectKind.PRICE, ObjectKind.CUSTOMER}:
            # These can be deleted, and then it is so; it is asked once more, as of when its absence counts.
            finding = Finding(FindingKind.REPAIRED, object_id, {"deleted": [False, True]})
            await self._applier.refresh(kind, object_id, _cause(run), self._settle(run, kind, finding))
            return True
        # A subscription or session never vanishes from an account: another account's key must not end what people have.
        reason = "Stripe does not know it; what is held of it stays"
        await self.note(run, Finding(FindingKind.UNKNOWN_IN_STRIPE, object_id, {"reason": reason}), kind.value)
        return False

    async def _apply(self, run: Run, compared: Compared) -> None:
        kind = FindingKind.UNKNOWN_HERE if compared.standing is Standing.UNKNOWN else FindingKind.REPAIRED
        settle = self._settle(run, compared.kind, Finding(kind, compared.id, compared.detail))
        await self._applier.apply_object(compared.kind, compared.object, compared.as_of, _cause(run), settle)

    def _settle(self, run: Run, kind: ObjectKind, finding: Finding) -> Callable[[AsyncConnection, Result], Any]:
        async def settle(connection: AsyncConnection, result: Result) -> None:
            # What concerns nobody of ours (another app's on the same account) is no drift.
            if result.outcome is Outcome.APPLIED and await findings.record(connection, run.id, finding):
                self._metrics.found(finding.kind, kind.value)
                _log.info("reconcile run=%d %s object=%s", run.id, finding.kind.value, finding.object_id)

        return settle

    async def guarded(self, run: Run, object_id: str, work: Callable[[], Awaitable[None]]) -> None:
        """Let one object's failure be a finding, unless it is everybody's: then the run waits."""
        try:
            await work()
        except _REFUSALS as error:
            await self.failed(run, object_id, f"{type(error).__name__}: {error}")
        except StripeUnavailableError as error:
            if run.attempts < _PATIENCE:
                raise
            await self.failed(run, object_id, f"{type(error).__name__}: {error}")
        except DATABASE_FAULTS as error:
            if is_outage(error) or not isinstance(error, _BUGS_OF_OURS):
                raise
            _log.exception("reconcile failed run=%d object=%s", run.id, object_id)
            await self.failed(run, object_id, type(error).__name__)
        except Exception as error:
            _log.exception("reconcile failed run=%d object=%s", run.id, object_id)
            await self.failed(run, object_id, f"{type(error).__name__}: {error}")

    async def _fetch(self, kind: ObjectKind, object_id: str) -> Fetched:  # noqa: PLR0911 - one way for each kind
        match kind:
            case ObjectKind.SUBSCRIPTION:
                return await self._gateway.retrieve_subscription(object_id)
            case ObjectKind.INVOICE:
                return await self._gateway.retrieve_invoice(object_id)
            case ObjectKind.SESSION:
                return await self._gateway.retrieve_session_with_lines(object_id)
            case ObjectKind.CUSTOMER:
                return await self._gateway.retrieve_customer(object_id)
            case ObjectKind.PRODUCT:
                return await self._gateway.retrieve_product(object_id)
            case ObjectKind.PRICE:
                return await self._gateway.retrieve_price(object_id)
            case ObjectKind.REFUND:
                return await self._gateway.retrieve_refund(object_id)
            case ObjectKind.DISPUTE:
                return await self._gateway.retrieve_dispute(object_id)
            case ObjectKind.CHARGE:
                raise ValueError("charges are not compared")
            case _:
                assert_never(kind)


def _cause(run: Run) -> Cause:
    return Cause(f"{run.kind.value}:{run.id}")
