"""Claims: an operator says whose something is that Stripe's data does not tell."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.clock import Instant
from common.identifiers import ProjectId, UserId
from writer.apply import customer, objects
from writer.apply.applier import ObjectMovingError
from writer.apply.assignment import Assignment
from writer.db.transaction import Transactions
from writer.domain.stripe.customer import parse_customer
from writer.domain.stripe.kinds import ObjectKind
from writer.domain.stripe.ownership import Unassigned
from writer.gateway.pages import Fetched
from writer.operations import audit, bought, projects, unassigned
from writer.operations.audit import Act, Actor
from writer.operations.bought import Bought
from writer.operations.unassigned import UnassignedObject
from writer.outbox import Cause, Revision
from writer.recompute import Recompute
from writer.refusals import ConflictError, InvalidError, UnknownError


class Refreshing(Protocol):
    """Brings here what is not held: the applier."""

    async def refresh(self, kind: ObjectKind, object_id: str, cause: Cause) -> list[Revision]:
        """Fetch an object and apply it."""
        ...


class CustomerSource(Protocol):
    """Tells of customers, whose metadata is not held here: the gateway."""

    async def retrieve_customer(self, id: str) -> Fetched:  # noqa: A002 - Stripe's own word
        """A customer."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """What is whose. `project` None: that of what was bought, where it is one."""

    object_id: str
    user: UserId
    project: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim came to: whose it was, in which projects it grants now, and what became somebody's."""

    object_id: str
    user: UserId
    before: str | None
    projects: tuple[ProjectId, ...]
    assigned: tuple[str, ...]
    """Subscriptions and purchases that are this user's now and were not before."""
    left: tuple[str, ...]
    """What the same customer bought that is still nobody's."""
    revisions: tuple[Revision, ...]


class Claims:
    """Every method raises RefusedError where it will not, and the gateway's errors where Stripe does not answer."""

    def __init__(
        self,
        engine: AsyncEngine,
        transactions: Transactions,
        recompute: Recompute,
        applier: Refreshing,
        customers: CustomerSource,
        on_commit: Callable[[], None],
        *,
        livemode: bool,
    ) -> None:
        self._transactions = transactions
        self._assignment = Assignment(engine, transactions, recompute)
        self._applier = applier
        self._customers = customers
        self._on_commit = on_commit
        self._livemode = livemode

    async def unassigned(
        self,
        project: str | None,
        *,
        ended: bool,
        after: tuple[Instant, str] | None = None,
        limit: int = unassigned.MOST,
    ) -> Sequence[UnassignedObject]:
        """What is ours by price and nobody's, of one project or of all; `unassigned.find` says in which order."""
        return await unassigned.find(self._transactions, project, ended=ended, after=after, limit=limit)

    async def claim(self, claim: Claim, actor: Actor) -> Claimed:
        """Give a subscription, a purchase, or a customer with all it bought to a user; again to another moves it."""
        if claim.project is not None:
            name = claim.project
            await self._transactions.run(lambda connection: projects.find(connection, name))
        match claim.object_id.partition("_")[0]:
            case "sub":
                return await self._claim_bought(claim, actor, ObjectKind.SUBSCRIPTION, self._assignment.subscription)
            case "cs":
                return await self._claim_bought(claim, actor, ObjectKind.SESSION, self._assignment.purchase)
            case "cus":
                return await self._claim_customer(claim, actor)
        raise InvalidError(
            "not_claimable", "claim a subscription (sub_…), a checkout session (cs_…) or a customer (cus_…)"
        )

    async def _claim_bought(
        self, claim: Claim, actor: Actor, kind: ObjectKind, assign: Callable[..., Awaitable[list[Revision]]]
    ) -> Claimed:
        held = await self._held(claim.object_id)
        if held is None:
            await self._bring(kind, claim.object_id, actor)
            held = await self._held(claim.object_id)
        if held is None:
            raise UnknownError("unknown_object", _unknown_words(kind, claim.object_id))

        async def first(connection: AsyncConnection) -> None:
            locked = await bought.held(connection, claim.object_id)
            _check(claim, locked)
            await connection.execute(_CLAIM, {"id": claim.object_id, "user_id": claim.user})
            before = {"user_id": locked.user_id, "claimed_user_id": locked.claimed_user_id}
            after = {"user_id": claim.user, "projects": list(locked.projects)}
            place = await projects.find(connection, locked.projects[0]) if len(locked.projects) == 1 else None
            subject, project = f"object:{claim.object_id}", None if place is None else place.id
            act = Act("object.claim", project, subject, claim.reason, before=before, after=after)
            await audit.record(connection, actor, act)

        revisions = await assign(claim.object_id, _cause(actor), first)
        # A purchase also tells whose customer paid, where nobody knew.
        revisions += await self._assignment.of_customer(held.customer_id, None, _cause(actor))
        self._on_commit()
        return await self._claimed(claim, held.user_id, held.projects, [held], held.customer_id, revisions)

    async def _bring(self, kind: ObjectKind, object_id: str, actor: Actor) -> None:
        try:
            await self._applier.refresh(kind, object_id, _cause(actor))
        except ObjectMovingError:
            raise ConflictError("object_moving", f"{object_id} changes all the time: try again") from None

    async def _claim_customer(self, claim: Claim, actor: Actor) -> Claimed:
        fetched = await self._customers.retrieve_customer(claim.object_id)
        if fetched.object is None:
            raise UnknownError("unknown_object", f"Stripe knows no customer {claim.object_id} by this key")
        found = parse_customer(fetched.object)
        if not found.deleted and found.livemode != self._livemode:
            raise ConflictError("wrong_mode", f"{claim.object_id} is of the other mode than STRIPE_SECRET_KEY")
        _check_named(claim, found.metadata.get("user_id"), found.metadata.get("project_id"))
        items = await self._bought_by(claim.object_id)
        project = _one_project(claim, sorted({name for one in items for name in one.projects}))

        async def link(connection: AsyncConnection) -> str | None:
            await objects.lock(connection, {claim.object_id})
            place = await projects.find(connection, project)
            before = (await connection.execute(_LINKED, {"id": claim.object_id})).scalar_one_or_none()
            await customer.claim(
                connection, claim.object_id, project, claim.user, livemode=self._livemode, gone=found.deleted
            )
            after = {"user_id": claim.user, "project_id": project}
            subject = f"object:{claim.object_id}"
            act = Act("object.claim", place.id, subject, claim.reason, before={"user_id": before}, after=after)
            await audit.record(connection, actor, act)
            return before

        before = await self._transactions.run(link)
        revisions = await self._assignment.of_customer(claim.object_id, None, _cause(actor))
        self._on_commit()
        return await self._claimed(claim, before, [project], items, claim.object_id, revisions)

    async def _claimed(
        self,
        claim: Claim,
        before: str | None,
        names: Sequence[str],
        was: Sequence[Bought],
        customer_id: str | None,
        revisions: list[Revision],
    ) -> Claimed:
        mine_before = {row.id for row in was if row.user_id == claim.user}
        now = await self._bought_by(customer_id) if customer_id else [await self._held(claim.object_id)]
        held = [row for row in now if row is not None]
        return Claimed(
            object_id=claim.object_id,
            user=claim.user,
            before=before,
            projects=tuple(ProjectId(name) for name in names),
            assigned=tuple(row.id for row in held if row.user_id == claim.user and row.id not in mine_before),
            left=tuple(row.id for row in held if row.unassigned_reason is not None),
            revisions=tuple(revisions),
        )

    async def _held(self, object_id: str) -> Bought | None:
        return await self._transactions.run(lambda connection: bought.find(connection, object_id))

    async def _bought_by(self, customer_id: str) -> Sequence[Bought]:
        return await self._transactions.run(lambda connection: bought.by_customer(connection, customer_id))


def to_json(done: Claimed) -> dict[str, Any]:
    """The outcome as routes and `--json` show it; `tokens` by project are what sidecars take as `min_revision`."""
    return {
        "object_id": done.object_id,
        "user_id": done.user,
        "before": done.before,
        "projects": list(done.projects),
        "assigned": list(done.assigned),
        "left": list(done.left),
        "changed": bool(done.revisions),
        "tokens": {one.project: one.position.token for one in done.revisions if one.user_id == done.user},
    }


def _check(claim: Claim, row: Bought) -> None:
    """Whether a claim would make it this user's: ConflictError with how to mend what is in the way."""
    _check_named(claim, row.named_user, None)
    if row.unassigned_reason in {Unassigned.BAD_USER, Unassigned.UNKNOWN_PROJECT, Unassigned.CONFLICT}:
        raise ConflictError(
            "claim_conflicts",
            f"{claim.object_id} cannot be claimed: {row.unassigned_reason}; correct its metadata at Stripe",
        )
    if not row.projects:
        raise ConflictError(
            "claim_not_ours",
            f"no price of {claim.object_id} belongs to a project: put {', '.join(row.prices)} into a catalogue first",
        )
    if claim.project is not None and claim.project not in row.projects:
        raise ConflictError(
            "claim_conflicts",
            f"{claim.object_id} is of {', '.join(row.projects)} by its prices or metadata, not of {claim.project}",
        )


def _check_named(claim: Claim, user: str | None, project: str | None) -> None:
    if user and user != claim.user:
        raise ConflictError(
            "claim_conflicts",
            f"the metadata of {claim.object_id} names the user {user}, and that counts: edit user_id there, at Stripe",
        )
    if project and claim.project is not None and project != claim.project:
        raise ConflictError(
            "claim_conflicts",
            f"the metadata of {claim.object_id} names the project {project}: edit project_id there, at Stripe",
        )


def _one_project(claim: Claim, bought_in: list[str]) -> str:
    if claim.project is not None:
        return claim.project
    if len(bought_in) == 1:
        return bought_in[0]
    found = f"it bought in {', '.join(bought_in)}" if bought_in else "nothing that it bought is held here"
    detail = f"name the project whose user {claim.object_id} is: {found}"
    raise InvalidError("project_required", detail)


def _unknown_words(kind: ObjectKind, object_id: str) -> str:
    if kind is ObjectKind.SUBSCRIPTION:
        return f"Stripe knows no subscription {object_id} by this key"
    return f"{object_id} is no complete session with something bought once; a subscription is claimed by its sub_… id"


def _cause(actor: Actor) -> Cause:
    return Cause(f"operator:{actor.name}")


_CLAIM: Final = text("""
WITH purchase AS (UPDATE purchases SET claimed_user_id = :user_id WHERE id = :id)
UPDATE subscriptions SET claimed_user_id = :user_id WHERE id = :id
""")

_LINKED: Final = text("""
SELECT user_id FROM stripe_customers WHERE id = :id
""")
