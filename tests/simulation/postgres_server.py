"""A model of Postgres: transactions that commit as a whole, row locks, snapshots, backups.

Only the statements of the product are known, by their text; `tests/contract/postgres_model` runs the product's own
classes on it and on a real server.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncpg

from common.clock import SECOND
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Connection
from tests.simulation.postgres_reads import READS, Row
from tests.simulation.postgres_state import Database
from tests.simulation.postgres_writes import WRITES, Change, Lock
from tests.simulation.processes import Process

AUTOCOMMIT: Final = "AUTOCOMMIT"
REPEATABLE_READ: Final = "REPEATABLE READ"

OnCommit = Callable[[Database, Database], None]


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A statement. `isolation` counts where it begins a transaction."""

    sql: str
    parameters: Mapping[str, Any]
    isolation: str


@dataclass(slots=True)
class _Transaction:
    snapshot: Database | None
    changes: list[Change] = field(default_factory=list)


@dataclass(slots=True)
class _Session:
    transaction: _Transaction | None = None
    waiting: deque[Any] = field(default_factory=deque)
    """What arrived behind a statement that waits for a lock."""
    stuck: bool = False


class _MustWaitError(Exception):
    """Another transaction holds a row."""


class PostgresServer:
    """Serves the model over the network. `on_commit` is told of the database before and after."""

    def __init__(self, loop: VirtualLoop, process: Process, on_commit: OnCommit) -> None:
        self.process = process
        self.committed = Database()
        self.loses_acknowledgement = False
        """Whether the next commit's answer is lost with its connection."""
        self._loop = loop
        self._on_commit = on_commit
        self._sessions: dict[Connection, _Session] = {}
        self._locks: dict[Lock, _Session] = {}

    @property
    def now(self) -> float:
        """Unix seconds by the database's clock."""
        return self._loop.wall(self.process) / SECOND

    def restore(self, backup: Database, *, system: str | None = None, table_oid: int | None = None) -> None:
        """Go back to an earlier moment: nothing that is open goes on. `system`, `table_oid`: where they differ now."""
        self.restart()
        self.committed = replace(backup, system=system or backup.system, table_oid=table_oid or backup.table_oid)

    def restart(self) -> None:
        """Every connection breaks, and what was not committed never was."""
        for connection in list(self._sessions):
            connection.reset()
        self._sessions.clear()
        self._locks.clear()

    # What the network asks of a server.

    def opened(self, connection: Connection) -> None:
        """A client is there."""
        self._sessions[connection] = _Session()

    def received(self, connection: Connection, message: Any) -> None:
        """A statement, or the end of a transaction."""
        session = self._sessions.get(connection)
        if session is None:
            return
        session.waiting.append(message)
        if not session.stuck:
            self._work(connection, session)

    def closed(self, connection: Connection) -> None:
        """The client is gone: what it had open is rolled back."""
        session = self._sessions.pop(connection, None)
        if session is not None:
            self._end(session)

    def _work(self, connection: Connection, session: _Session) -> None:
        session.stuck = False
        while session.waiting:
            try:
                reply = self._answer(session, session.waiting[0])
            except _MustWaitError:
                session.stuck = True
                return
            except asyncpg.PostgresError as error:
                reply = error
            message = session.waiting.popleft()
            if message == "COMMIT" and self.loses_acknowledgement:
                self.loses_acknowledgement = False
                connection.reset()
            connection.push(reply)

    def _answer(self, session: _Session, message: Any) -> list[Row]:
        if message == "BEGIN":
            session.transaction = _Transaction(None)
            return []
        if message in {"COMMIT", "ROLLBACK"}:
            self._end(session, commit=message == "COMMIT")
            return []
        if message.isolation == AUTOCOMMIT and session.transaction is None:
            session.transaction = _Transaction(None)
            rows = self._run(session, session.transaction, message)
            self._end(session, commit=True)
            return rows
        if session.transaction is None:
            session.transaction = _Transaction(self.committed if message.isolation == REPEATABLE_READ else None)
        return self._run(session, session.transaction, message)

    def _run(self, session: _Session, transaction: _Transaction, message: Run) -> list[Row]:
        read = READS.get(message.sql)
        if read is not None:
            return read(self._view(transaction), message.parameters, self.now)
        write = WRITES.get(message.sql)
        if write is None:
            raise asyncpg.SyntaxOrAccessError(f"the model does not know this statement: {message.sql}")
        for lock in write.locks(self._view(transaction), message.parameters):
            if self._locks.setdefault(lock, session) is not session:
                raise _MustWaitError
        rows, change = write.run(self._view(transaction), message.parameters, self.now)
        if change is not None:
            transaction.changes.append(change)
        return rows

    def _view(self, transaction: _Transaction) -> Database:
        database = transaction.snapshot or self.committed
        for change in transaction.changes:
            database = change(database)
        return database

    def _end(self, session: _Session, *, commit: bool = False) -> None:
        transaction, session.transaction = session.transaction, None
        if transaction is not None and commit and transaction.changes:
            self._put(self._view(transaction))
        freed = [lock for lock, holder in self._locks.items() if holder is session]
        for lock in freed:
            del self._locks[lock]
        if freed:
            for connection, other in list(self._sessions.items()):
                if other.stuck:
                    self._work(connection, other)

    def _put(self, database: Database) -> None:
        before, self.committed = self.committed, database
        self._on_commit(before, database)
