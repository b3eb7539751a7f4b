"""The rows of a customer map: checked against the account and the database, and written as whose customer is whose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import ProjectId, UserId
from writer.apply import customer, objects
from writer.apply.assignment import Assignment
from writer.db.transaction import Transactions
from writer.operations import audit
from writer.operations.audit import Act, Actor
from writer.outbox import Cause
from writer.recompute import UserKey
from writer.takeover.account import Account
from writer.takeover.customer_map import CustomerMapError, Mapped
from writer.takeover.here import Here
from writer.takeover.owners import Owners


@dataclass(frozen=True, slots=True)
class Link:
    """A customer, and whose it is to be."""

    customer_id: str
    project: ProjectId
    key: UserKey


@dataclass(frozen=True, slots=True)
class Links:
    """What a map comes to."""

    links: Sequence[Link]
    idle: Sequence[str]
    """Customers who bought nothing of ours: nobody's link is written for them."""


def check(mapped: Mapping[str, Mapped], account: Account, here: Here, owners: Owners) -> Links:
    """Every row against what is known; CustomerMapError with every fault."""
    buyers = {one.customer_id for one in account.subscriptions} | {one.customer_id for one in account.sessions}
    faults: list[str] = []
    links, idle = [], []
    for row in mapped.values():
        fault = _fault(row, account, here, deleted_buyers=buyers)
        if fault is not None:
            faults.append(f"line {row.line}: {fault}")
            continue
        places = sorted(here.name_of(one) for one in owners.bought_in.get(row.customer_id, ()))
        if row.project is None and len(places) > 1:
            faults.append(
                f"line {row.line}: {row.customer_id} bought in {' and '.join(places)}: say in the column project_id "
                "whose portal is to show it"
            )
        elif row.project is None and not places:
            idle.append(row.customer_id)
        else:
            project = row.project or places[0]
            links.append(Link(row.customer_id, project, UserKey(here.projects[project], row.user)))
    if faults:
        raise CustomerMapError(faults)
    return Links(links, idle)


def _fault(row: Mapped, account: Account, here: Here, *, deleted_buyers: set[str | None]) -> str | None:
    if row.project is not None and row.project not in here.projects:
        return f"there is no project {row.project}"
    metadata = account.customers.get(row.customer_id)
    if metadata is None and row.customer_id not in deleted_buyers:
        return f"Stripe knows no customer {row.customer_id} by this key"
    named, project = (metadata or {}).get("user_id"), (metadata or {}).get("project_id")
    if named and named != row.user:
        return f"the metadata of {row.customer_id} names the user {named} at Stripe, and that counts: edit it there"
    if named and project and row.project is not None and project != row.project:
        return (
            f"the metadata of {row.customer_id} names the project {project} at Stripe, and that counts: edit it there"
        )
    linked = here.links.get(row.customer_id)
    if linked is not None and linked != row.user:
        return f"{row.customer_id} is {linked}'s here: billing claim {row.customer_id} {row.user} moves it"
    return None


class Linking:
    """Writes links, each in a transaction of its own; again it changes nothing."""

    def __init__(self, transactions: Transactions, assignment: Assignment, *, livemode: bool) -> None:
        self._transactions = transactions
        self._assignment = assignment
        self._livemode = livemode

    async def write(self, link: Link, actor: Actor) -> bool:
        """Whether it was new. What the customer bought and is held is assigned with it."""

        async def work(connection: AsyncConnection) -> bool:
            await objects.lock(connection, {link.customer_id})
            if (await connection.execute(_SETTLED, {"id": link.customer_id})).scalar_one():
                return False  # whose it is was checked
            await customer.claim(connection, link.customer_id, link.project, link.key.user_id, livemode=self._livemode)
            after: dict[str, UserId | ProjectId] = {"user_id": link.key.user_id, "project_id": link.project}
            subject = f"object:{link.customer_id}"
            await audit.record(connection, actor, Act("customer.import", link.key.project_id, subject, after=after))
            return True

        if not await self._transactions.run(work):
            return False
        await self._assignment.of_customer(link.customer_id, None, Cause(f"operator:{actor.name}"))
        return True


_SETTLED: Final = text("""
SELECT EXISTS (SELECT FROM customer_names n WHERE n.customer_id = :id AND (n.said_by = 'operator'
    OR n.said_by = 'metadata' AND EXISTS (SELECT FROM projects p WHERE p.public_id = n.project)))
""")
