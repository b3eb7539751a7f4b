"""Preview: what a user would hold after an act, by the very rules; nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.catalogue import Catalogue
from common.clock import Clock, Instant, format_time
from common.decision import Decision, decide
from common.document import Entitlement, entitlements_to_json
from common.identifiers import FeatureCode, UserId
from writer.catalogue import holders
from writer.catalogue.holders import Meant
from writer.catalogue.impact import turn
from writer.db import sources
from writer.domain.catalogue import Definition
from writer.domain.imagine import Act, Buy, Cancel, Grant, Imagined, NotHeldError, Refund, Revoke, imagine
from writer.domain.sources import NOTHING, Sources, SubscriptionStatus
from writer.operations import grants, projects
from writer.operations.grants import GrantOrder
from writer.operations.projects import Project
from writer.recompute import DocumentTooLargeError, Recompute, load_definition
from writer.refusals import ConflictError, InvalidError, UnknownError

MOST_QUANTITY: Final = 999_999

MOST_USERS: Final = 20_000
"""Looked at before a whole project is computed again: some seconds."""

_CHUNK: Final = 500

_OVER: Final = {SubscriptionStatus.CANCELED, SubscriptionStatus.INCOMPLETE_EXPIRED}


@dataclass(frozen=True, slots=True)
class Purchase:
    """A price that would be bought, by its id alone."""

    price_id: str
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class Difference:
    """One feature, both answers at the moment when the act takes effect. `change` None: the answer stays."""

    feature: FeatureCode
    before: Decision
    after: Decision

    @property
    def change(self) -> str | None:
        """`gain`, `lose`, `higher`, `lower`, `other`; `longer` and `shorter` where only the end moves."""
        turned = turn(self.before, self.after)
        if turned is not None:
            return turned.value
        ends = _end(self.before), _end(self.after)
        if not self.after.allowed or ends[0] == ends[1]:
            return None
        return "longer" if ends[1] > ends[0] else "shorter"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A preview. `notes` say what an operator should know beside it."""

    project: Project
    user: UserId
    takes_effect_at: Instant
    before: Sequence[Entitlement]
    after: Sequence[Entitlement]
    features: Sequence[Difference]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Recomputing:
    """What computing a project again would come to. Users; `failing`: they cannot be computed."""

    users: int
    differing: int
    failing: int
    is_exact: bool
    """False: only so many users were looked at."""


class Preview:
    """Computes on a snapshot. Raises RefusedError where the act cannot be, and DocumentTooLargeError."""

    def __init__(self, engine: AsyncEngine, recompute: Recompute, clock: Clock) -> None:
        self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._recompute = recompute
        self._clock = clock

    async def of(self, project: str, user: UserId, act: Act | Purchase | GrantOrder) -> Foreseen:
        """What the user would hold after the act. Somebody who never was is somebody who holds nothing."""
        now = self._clock.now()
        async with self._snapshots.connect() as connection:
            found = await projects.find(connection, project)
            ref = (await connection.execute(_USER, {"project_id": found.id, "user_id": user})).scalar_one_or_none()
            held = NOTHING if ref is None else (await sources.load(connection, [ref]))[ref]
            notes: list[str] = []
            meant = await _meant(connection, found, held, act, now, notes)
            imagined = _imagined(held, meant, now, f"{user} in {project}")
            notes += _notes(held, meant)
            before = await self._recompute.preview(connection, found.id, held)
            after = await self._recompute.preview(connection, found.id, imagined.sources)
            definition = await load_definition(connection, found.id, found.catalog_version)
        return _compared(found, user, definition, imagined, (before, after), notes)

    async def of_grant(self, project: str, grant_id: int) -> Foreseen:
        """What its holder would hold after one grant was taken back; UnknownError `unknown_grant`."""
        async with self._snapshots.connect() as connection:
            user = await grants.holder(connection, await projects.find(connection, project), grant_id)
        return await self.of(project, user, Revoke(grant_id=str(grant_id)))

    async def of_recompute(self, project: str, most: int = MOST_USERS) -> Recomputing:
        """How many documents of a project are not as they would be computed now."""
        users = differing = failing = 0
        cursor, is_last = 0, False
        async with self._snapshots.connect() as connection:
            meant = Meant((await projects.find(connection, project)).id, None)
            while not is_last and users < most:
                chunk = await holders.next_chunk(connection, meant, cursor, _CHUNK)
                cursor, is_last = chunk.cursor, chunk.is_last
                users += len(chunk.refs)
                changed, failed = await self._differing(connection, chunk.refs)
                differing, failing = differing + changed, failing + failed
        return Recomputing(users, differing, failing, is_exact=is_last)

    async def _differing(self, connection: AsyncConnection, refs: Sequence[int]) -> tuple[int, int]:
        """How many of them differ, and how many cannot be computed."""
        try:
            return len(await self._recompute.changes(connection, refs, self._clock.now())), 0
        except DocumentTooLargeError:
            if len(refs) == 1:
                return 0, 1
        counted = [await self._differing(connection, [ref]) for ref in refs]
        return sum(changed for changed, _ in counted), sum(failed for _, failed in counted)


def _compared(
    project: Project,
    user: UserId,
    definition: Definition,
    imagined: Imagined,
    rows: tuple[Sequence[Entitlement], Sequence[Entitlement]],
    notes: Sequence[str],
) -> Foreseen:
    before, after = rows
    head, moment = project.position, imagined.takes_effect_at
    catalogue = Catalogue(project.public_id, head.epoch, head.revision, definition.version, definition.answered)
    codes = sorted({*definition.answered, *(row.feature_code for row in (*before, *after))})
    differences = [
        Difference(code, decide(before, code, catalogue, moment), decide(after, code, catalogue, moment))
        for code in codes
    ]
    return Foreseen(project, user, moment, before, after, differences, notes)


def to_json(foreseen: Foreseen) -> dict[str, Any]:
    """As routes and `--json` show it."""
    return {
        "project_id": foreseen.project.public_id,
        "user_id": foreseen.user,
        "takes_effect_at": format_time(foreseen.takes_effect_at),
        "before": entitlements_to_json(foreseen.before),
        "after": entitlements_to_json(foreseen.after),
        "features": [
            {
                "feature": one.feature,
                "change": one.change,
                "before": answer(one.before),
                "after": answer(one.after),
            }
            for one in foreseen.features
        ],
        "notes": list(foreseen.notes),
    }


def answer(decision: Decision) -> dict[str, Any]:
    """One answer as routes and `--json` show it."""
    return {
        "allowed": decision.allowed,
        "reason": decision.reason.value,
        "value": decision.value,
        "source": decision.source,
        "valid_to": None if decision.valid_to is None else format_time(decision.valid_to),
    }


def _end(decision: Decision) -> float:
    return float("inf") if decision.valid_to is None else decision.valid_to


async def _meant(
    connection: AsyncConnection,
    project: Project,
    held: Sources,
    act: Act | Purchase | GrantOrder,
    now: Instant,
    notes: list[str],
) -> Act:
    match act:
        case Purchase():
            return await _buy(connection, project, held, act, notes)
        case GrantOrder():
            await grants.check_terms(connection, project, act, now)
            return Grant(act.feature, act.value, act.valid_from, act.valid_to)
        case _:
            return act


async def _buy(connection: AsyncConnection, project: Project, held: Sources, wanted: Purchase, notes: list[str]) -> Buy:
    if not 1 <= wanted.quantity <= MOST_QUANTITY:
        raise InvalidError("invalid_quantity", f"quantity must be a whole number from 1 to {MOST_QUANTITY}")
    row = (await connection.execute(_PRICE, {"id": wanted.price_id})).one_or_none()
    if row is None:
        detail = f"no price {wanted.price_id} is known; billing catalog sync brings all prices over from Stripe"
        raise UnknownError("unknown_price", detail)
    if row.project != project.public_id:
        belongs = "no project" if row.project is None else f"the project {row.project}"
        raise ConflictError("price_of_another_project", f"{wanted.price_id} belongs to {belongs}")
    if not (row.active and row.sold):
        notes.append(f"{wanted.price_id}, or its product, is archived at Stripe: it is sold no more")
    if row.type != "recurring":
        return Buy(wanted.price_id, row.product_id, wanted.quantity)
    same = [
        one.id
        for one in held.subscriptions
        if one.status not in _OVER and any(item.product_id == row.product_id for item in one.items)
    ]
    if same:
        notes.append(f"the user has this product by {', '.join(same)}: a checkout would be refused")
    return Buy(wanted.price_id, row.product_id, wanted.quantity, row.interval or "month", row.interval_count or 1)


def _imagined(held: Sources, act: Act, now: Instant, whose: str) -> Imagined:
    try:
        return imagine(held, act, now)
    except NotHeldError as error:
        mend = "billing explain shows what there is, billing unassigned what is nobody's"
        raise UnknownError("unknown_object", f"{error.args[0]} is not held by {whose}: {mend}") from None


def _notes(held: Sources, act: Act) -> list[str]:
    match act:
        case Cancel():
            (found,) = (one for one in held.subscriptions if one.id == act.subscription_id)
            if found.status in _OVER:
                return [f"{found.id} is {found.status.value} already: nothing is left to cancel"]
            if found.cancel_at_period_end or found.cancel_at is not None:
                return [f"{found.id} is cancelled already, and runs out"]
        case Refund():
            (bought,) = (one for one in held.purchases if one.id == act.purchase_id)
            if bought.amount == 0:
                return ["nothing was paid for it: there is nothing to give back, and it stays"]
            given = bought.amount if act.amount is None else bought.refunded + act.amount
            if given < bought.amount:
                return [f"{given} of {bought.amount} would be refunded: only all of it takes the purchase away"]
        case Revoke():
            if not any(one.id == act.grant_id or one.feature_code == act.feature for one in held.grants):
                return ["no grant like that is in force: it was revoked before, or never made"]
        case _:
            pass
    return []


_USER: Final = text("SELECT id FROM users WHERE project_id = :project_id AND user_id = :user_id")

_PRICE: Final = text("""
SELECT c.product_id, c.type, c.interval, c.interval_count, c.active, coalesce(d.active, false) AS sold,
    j.public_id AS project
FROM prices c LEFT JOIN products d ON d.id = c.product_id LEFT JOIN projects j ON j.id = c.project_id
WHERE c.id = :id
""")
