"""What operators do about users, each act one transaction: search, show, merge, erase."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import UserId
from writer.db.readings import Readings
from writer.db.transaction import Transactions
from writer.operations import merging, projects, users
from writer.operations.audit import Actor
from writer.operations.erasure import Erased, Erasure
from writer.operations.merging import Merged
from writer.operations.users import User, UserFilter
from writer.recompute import Recompute


class UserActs:
    """Every method raises RefusedError where it will not; `on_commit` is called after something was committed."""

    def __init__(
        self, transactions: Transactions, readings: Readings, recompute: Recompute, on_commit: Callable[[], None]
    ) -> None:
        self._transactions = transactions
        self._readings = readings
        self._recompute = recompute
        self._on_commit = on_commit
        self._erasure = Erasure(transactions, recompute)

    async def search(
        self, project: str | None, query: str | None, after: tuple[str, str] | None, limit: int
    ) -> Sequence[User]:
        """Users of a project or of all; `users.search` says in which order."""

        async def work(connection: AsyncConnection) -> Sequence[User]:
            found = None if project is None else (await projects.find(connection, project)).id
            return await users.search(connection, UserFilter(found, query), after, limit)

        return await self._readings.run(work)

    async def show(self, project: str, user: UserId) -> dict[str, Any]:
        """A user with what they have; `users.show` says in which shape."""

        async def work(connection: AsyncConnection) -> dict[str, Any]:
            return await users.show(connection, await projects.find(connection, project), user)

        return await self._transactions.run(work)

    async def merge(self, project: str, old: UserId, new: UserId, reason: str | None, actor: Actor) -> Merged:
        """Make one user of a project another one of its users."""

        async def work(connection: AsyncConnection) -> Merged:
            found = await projects.find(connection, project)
            return await merging.merge(connection, self._recompute, found, old, new, reason, actor)

        done = await self._transactions.run(work)
        self._on_commit()
        return done

    async def erase(self, project: str, user: UserId, reason: str | None, actor: Actor) -> Erased:
        """Let nothing tell any more who a user was."""
        done = await self._erasure.erase(project, user, reason, actor)
        self._on_commit()
        return done
