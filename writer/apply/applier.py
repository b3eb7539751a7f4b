"""The applier: whatever is known of a Stripe object, from an event or a fetch, is applied once, in order, whole.

Which of two states is newer is decided under the object's lock. Where Stripe's clocks leave it open, the object is
fetched: a fetch begun after the held state was read, with that state still held at the lock, is newer.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common import tracing
from common.clock import Instant
from writer.apply import objects
from writer.apply.assignment import Assignment
from writer.apply.change import Change, Written, nothing
from writer.apply.gateway import Gateway, fetch
from writer.apply.mirror import CatalogueMirror
from writer.apply.preparation import Preparation
from writer.db.transaction import Transactions
from writer.domain.stripe.event import Event
from writer.domain.stripe.invoice import carries_all_lines
from writer.domain.stripe.kinds import ObjectKind
from writer.domain.stripe.session import needs_lines
from writer.domain.stripe.subscription import is_whole
from writer.domain.stripe.watermark import Verdict, Watermark
from writer.gateway.stripe_gateway import Fetched
from writer.outbox import Cause, Revision
from writer.recompute import Recompute
from writer.wakeup import Wakeup

_log = logging.getLogger(__name__)

_ROUNDS: Final = 4
"""Fetches of one object in a row that another writer's changes may overtake."""


class ObjectMovingError(Exception):
    """The object changed during every fetch of it: try again later."""


class Outcome(StrEnum):
    """What became of a state; the values are `webhook_events.status`."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Result:
    """What applying came to."""

    outcome: Outcome
    revisions: list[Revision] = field(default_factory=list)
    reason: str | None = None
    fetched: bool = False


Settle = Callable[[AsyncConnection, Result], Awaitable[None]]
"""Records the result where it belongs, in the transaction that brought it about."""


async def _settle_nothing(_: AsyncConnection, __: Result) -> None:
    """Nobody waits for this result."""


@dataclass(frozen=True, slots=True)
class _State:
    """One state of one object, and how it compares with what is held."""

    kind: ObjectKind
    id: str
    judge: Callable[[Watermark], Verdict]
    after: Callable[[Watermark], Watermark]
    fetched: bool


class Applier:
    """Applies objects of every kind; several of them, in one process or many, may work at once."""

    def __init__(
        self,
        engine: AsyncEngine,
        transactions: Transactions,
        recompute: Recompute,
        gateway: Gateway,
        mirror: CatalogueMirror,
        relay: Wakeup,
        registry: CollectorRegistry,
    ) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._transactions = transactions
        self._gateway = gateway
        self._relay = relay
        self.assignment = Assignment(engine, transactions, recompute)
        self._preparation = Preparation(engine, gateway, mirror, recompute, self.assignment, self)
        self._fetches = Counter("billing_apply_fetches", "Objects fetched to be applied", ["kind"], registry=registry)
        self._unassigned = Counter(
            "billing_apply_unassigned", "Objects applied that are ours and nobody's", ["kind"], registry=registry
        )

    async def apply_event(
        self,
        event: Event,
        cause: Cause,
        settle: Settle,
        *,
        held: Watermark,
        doubtful: bool = False,
        replayed: bool = False,
    ) -> Result:
        """Apply what an event says. `held`: how current our copy of its object was a moment ago.

        `doubtful`: other events of the same second say something too. `replayed`: an operator wants its object to be
        as Stripe holds it, so it is fetched however old the event is.
        """
        if event.kind is None or event.object_id is None:
            raise ValueError("only events of a kind of ours are applied")
        last = _is_last_word(event)
        state = _State(
            event.kind,
            event.object_id,
            judge=lambda held: Verdict.NEWER if last else held.event(event.created),
            after=lambda held: held.after_event(event.created),
            fetched=False,
        )
        asked = (replayed or event.by_test_clock) and not last
        verdict = Verdict.UNCLEAR if asked else state.judge(held)
        if verdict is Verdict.OLDER:
            return await self._settle_alone(Result(Outcome.SUPERSEDED), settle)
        if verdict is Verdict.NEWER and (last or not doubtful) and event.payload is not None and _carries_all(event):
            change = await self._preparation.prepare(state.kind, event.payload, None, cause)
            result = await self._commit(state, change, settle)
            if result is not None:
                return result
            held = await self._held(state.id)
        return await self._refresh(state.kind, state.id, held, cause, settle)

    async def apply_object(
        self,
        kind: ObjectKind,
        object: Mapping[str, Any],  # noqa: A002 - Stripe's own word
        as_of: Instant,
        cause: Cause,
        settle: Settle = _settle_nothing,
    ) -> list[Revision]:
        """Apply a fetched object: whole, with all that the gateway's fetch of its kind brings. For any caller.

        `settle` is not called where something newer is held.
        """
        state = _State(
            kind,
            object["id"],
            judge=lambda held: held.fetch(as_of),
            after=lambda held: held.after_fetch(as_of),
            fetched=True,
        )
        verdict = state.judge(await self._held(state.id))
        if verdict is Verdict.OLDER:
            return []
        if verdict is Verdict.NEWER:
            change = await self._preparation.prepare(kind, object, as_of, cause)
            result = await self._commit(state, change, settle)
            if result is not None:
                return result.revisions
        return await self.refresh(kind, state.id, cause, settle)

    async def refresh(
        self, kind: ObjectKind, object_id: str, cause: Cause, settle: Settle = _settle_nothing
    ) -> list[Revision]:
        """Fetch an object and apply it, whatever is held. For any caller."""
        held = await self._held(object_id)
        return (await self._refresh(kind, object_id, held, cause, settle)).revisions

    async def reassign_of_prices(self, price_ids: Collection[str], cause: Cause) -> list[Revision]:
        """Give what was bought by these prices to the projects that the prices now belong to."""
        return self._wake(await self.assignment.of_prices(price_ids, cause))

    async def _refresh(self, kind: ObjectKind, object_id: str, base: Watermark, cause: Cause, settle: Settle) -> Result:
        """Fetch and apply; `base` is what was held before the fetch began."""
        if base.is_closed:
            return await self._settle_alone(Result(Outcome.SUPERSEDED), settle)
        for _ in range(_ROUNDS):
            fetched = await fetch(self._gateway, kind, object_id)
            self._fetches.labels(kind.value).inc()
            state = _fetched_state(kind, object_id, base, fetched.as_of)
            result = await self._commit(state, await self._prepared(kind, object_id, fetched, cause), settle)
            if result is not None:
                return result
            base = await self._held(object_id)
        raise ObjectMovingError(ObjectMovingError.__doc__)

    async def _prepared(self, kind: ObjectKind, object_id: str, fetched: Fetched, cause: Cause) -> Change:
        source = fetched.object
        if source is None:
            if kind not in {ObjectKind.CUSTOMER, ObjectKind.PRODUCT, ObjectKind.PRICE}:
                # No proof that it ended: Stripe keeps such objects, but knows none of another account's, or mode's.
                return nothing("Stripe does not know it; what is held of it stays")
            source = {"id": object_id, "object": kind.value, "deleted": True}
        return await self._preparation.prepare(kind, source, fetched.as_of, cause)

    async def _commit(self, state: _State, change: Change, settle: Settle) -> Result | None:
        """Decide and write under the locks; None: what is held by now leaves the order open."""

        async def work(connection: AsyncConnection) -> tuple[Result | None, bool]:
            held = (await objects.lock(connection, {state.id, *change.links}))[state.id]
            verdict = state.judge(held)
            if verdict is Verdict.UNCLEAR:
                return None, False
            if verdict is Verdict.OLDER:
                result = Result(Outcome.SUPERSEDED, fetched=state.fetched)
                await settle(connection, result)
                return result, False
            await objects.advance(connection, state.id, state.after(held))
            # Last but for the event's row: it may lock projects, for which all payers' transactions wait in turn.
            written = await change.write(connection)
            result = self._result(state, written)
            if change.follow is None:
                await settle(connection, result)
            return result, written.revised

        with tracing.span("apply transaction", kind_of_object=state.kind.value):
            result, revised = await self._transactions.run(work)
        if revised:
            self._relay.notify()
        if result is None or result.outcome is Outcome.SUPERSEDED:
            return result
        self._wake(result.revisions)
        return result if change.follow is None else await self._follow(result, change.follow, settle)

    async def _follow(self, result: Result, follow: Callable[[], Awaitable[list[Revision]]], settle: Settle) -> Result:
        # The event stays pending until all that follows from it is true: cut off here, it is applied once more.
        followed = self._wake(await follow())
        whole = Result(result.outcome, [*result.revisions, *followed], result.reason, result.fetched)
        return await self._settle_alone(whole, settle)

    async def _settle_alone(self, result: Result, settle: Settle) -> Result:
        async def work(connection: AsyncConnection) -> None:
            await settle(connection, result)

        if settle is not _settle_nothing:
            await self._transactions.run(work)
        return result

    def _result(self, state: _State, written: Written) -> Result:
        if written.unassigned is not None:
            self._unassigned.labels(state.kind.value).inc()
            _log.warning("unassigned kind=%s object=%s reason=%r", state.kind, state.id, written.unassigned.value)
        outcome = Outcome.APPLIED if written.skipped is None else Outcome.IGNORED
        return Result(outcome, written.revisions, written.skipped, state.fetched)

    def _wake(self, revisions: list[Revision]) -> list[Revision]:
        if revisions:
            self._relay.notify()
        return revisions

    async def _held(self, object_id: str) -> Watermark:
        async with self._engine.connect() as connection:
            return await objects.read(connection, object_id)


def _fetched_state(kind: ObjectKind, object_id: str, base: Watermark, as_of: Instant) -> _State:
    return _State(
        kind,
        object_id,
        # Begun after `base` was read, so newer than it, whatever the clocks say.
        judge=lambda held: Verdict.NEWER if held == base else held.fetch(as_of),
        after=lambda held: held.after_fetch(as_of),
        fetched=True,
    )


def _is_last_word(event: Event) -> bool:
    """Whether it tells of a customer as it was deleted, of whom a fetch tells nothing any more, nor whose it was."""
    return event.kind is ObjectKind.CUSTOMER and event.payload is not None and bool(event.payload.get("deleted"))


def _carries_all(event: Event) -> bool:
    """Whether the payload alone tells the whole state."""
    payload = event.payload or {}
    match event.kind:
        case ObjectKind.SUBSCRIPTION:
            return is_whole(payload)
        case ObjectKind.SESSION:
            return not needs_lines(payload)
        case ObjectKind.INVOICE:
            return carries_all_lines(payload)
        case ObjectKind.PRODUCT:
            return bool(payload.get("deleted"))  # else its features are missing, and only a fetch is dated as a whole
        case _:
            return True
