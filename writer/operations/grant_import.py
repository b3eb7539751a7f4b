"""Grants in bulk, out of a CSV file: read whole and judged whole; with one fault nothing is done.

What is right is given in chunks, each a transaction, so that no payer waits for thousands. Cut off, the same file goes
on where it was: who has the same grant already is passed over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Clock, Instant, TimeError, parse_time, to_datetime
from common.document import Value
from common.identifiers import IdentifierError, feature_code, user_id
from writer import csv_table
from writer.csv_table import TableError
from writer.db.transaction import Transactions
from writer.operations import grants, projects
from writer.operations.audit import Actor
from writer.operations.grants import GrantOrder
from writer.operations.projects import Project
from writer.recompute import Recompute
from writer.refusals import InvalidError, RefusedError

COLUMNS: Final = ("user_id", "project_id", "feature", "value", "valid_from", "valid_to", "reason")
NEEDED: Final = ("user_id", "project_id", "feature", "reason")
MOST_ROWS: Final = 10_000
MOST_BYTES: Final = 2 * 1024 * 1024
_CHUNK: Final = 100


class RowOutcome(StrEnum):
    """What became of a row; in a rehearsal, what would."""

    GRANTED = "granted"
    ALREADY = "already"
    """The user has an equal grant that is not revoked."""
    REFUSED = "refused"
    """The user would hold more than a document can."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file, as it was read."""

    line: int
    project: str
    order: GrantOrder


@dataclass(frozen=True, slots=True)
class Told:
    """A row and what became of it. `reason`: why it was refused."""

    row: Row
    outcome: RowOutcome
    grant_id: int | None = None
    reason: str | None = None


class GrantImport:
    """Imports grants. It raises InvalidError `invalid_import` with every fault of a file."""

    def __init__(
        self, transactions: Transactions, recompute: Recompute, clock: Clock, on_commit: Callable[[], None]
    ) -> None:
        self._transactions = transactions
        self._recompute = recompute
        self._clock = clock
        self._on_commit = on_commit

    async def run(self, data: bytes, actor: Actor, *, dry_run: bool) -> Sequence[Told]:
        """Give what a file says, or only tell what that would come to; a word on each row, in its order."""
        rows = read(data)
        await self._transactions.run(lambda connection: self._judge(connection, rows))
        told: list[Told] = []
        for begin in range(0, len(rows), _CHUNK):
            chunk = rows[begin : begin + _CHUNK]
            if dry_run:
                told += await self._foresee(chunk)
            else:
                told += await self._chunk(chunk, actor)
        return told

    async def _judge(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        found: dict[str, Project | RefusedError] = {}
        faults = []
        for row in rows:
            try:
                if row.project not in found:
                    found[row.project] = await _project(connection, row.project)
                project = found[row.project]
                if isinstance(project, RefusedError):
                    raise project
                await grants.check(connection, project, row.order, self._clock.now())
            except RefusedError as error:
                faults.append(f"line {row.line}: {error.detail}")
        if faults:
            raise _invalid(faults)

    async def _foresee(self, chunk: Sequence[Row]) -> list[Told]:
        return await self._transactions.run(lambda connection: _foresee(connection, chunk))

    async def _chunk(self, chunk: Sequence[Row], actor: Actor) -> list[Told]:
        try:
            return await self._give(chunk, actor)
        except RefusedError as error:
            if len(chunk) == 1:
                return [Told(chunk[0], RowOutcome.REFUSED, reason=error.detail)]
        return [told for row in chunk for told in await self._chunk([row], actor)]

    async def _give(self, chunk: Sequence[Row], actor: Actor) -> list[Told]:
        async def work(connection: AsyncConnection) -> list[Told]:
            told = []
            # One order of users for everybody who locks several.
            for row in sorted(chunk, key=lambda row: (row.project, row.order.user, row.line)):
                project = await projects.find(connection, row.project)
                if await _has(connection, project, row.order):
                    told.append(Told(row, RowOutcome.ALREADY))
                    continue
                done = await grants.create(connection, self._recompute, project, row.order, actor, self._clock.now())
                told.append(Told(row, RowOutcome.GRANTED, done.id))
            return sorted(told, key=lambda one: one.row.line)

        done = await self._transactions.run(work)
        self._on_commit()
        return done


def read(data: bytes) -> list[Row]:
    """The rows of a file; InvalidError with every fault that shows without looking anything up."""
    if len(data) > MOST_BYTES:
        raise _invalid([f"the file may have {MOST_BYTES} bytes: send it in parts"])
    faults: list[str] = []
    rows: list[Row] = []
    try:
        for line, cells in csv_table.read(data, COLUMNS, NEEDED, faults):
            if len(rows) == MOST_ROWS:
                raise _invalid([f"line {line}: a file may have {MOST_ROWS} rows: send it in parts"])
            row = _row(line, cells, faults)
            rows += [] if row is None else [row]
    except TableError as error:
        raise _invalid(error.faults) from None
    if faults:
        raise _invalid(faults)
    return rows


def to_json(told: Sequence[Told], *, dry_run: bool) -> dict[str, Any]:
    """The outcome in its public shape."""
    return {
        "dry_run": dry_run,
        **{outcome.value: sum(one.outcome is outcome for one in told) for outcome in RowOutcome},
        "rows": [
            {
                "line": one.row.line,
                "project_id": one.row.project,
                "user_id": one.row.order.user,
                "feature": one.row.order.feature,
                "outcome": one.outcome.value,
                "grant_id": one.grant_id,
                "reason": one.reason,
            }
            for one in told
        ],
    }


def _row(line: int, cells: Mapping[str, str], faults: list[str]) -> Row | None:
    if any("\0" in cell for cell in cells.values()):
        faults.append(f"line {line}: holds the character U+0000, which cannot be kept")
        return None
    try:
        order = GrantOrder(
            user=user_id(cells["user_id"]),
            feature=feature_code(cells["feature"]),
            value=_value(cells["value"]),
            valid_from=_time("valid_from", cells["valid_from"]),
            valid_to=_time("valid_to", cells["valid_to"]),
            reason=cells["reason"],
        )
    except (IdentifierError, TimeError) as error:
        faults.append(f"line {line}: {error}")
        return None
    return Row(line, cells["project_id"], order)


def _value(cell: str) -> Value:
    """A number or an object as JSON; anything else is text as it stands, and nothing is a plain feature's."""
    if not cell:
        return None
    try:
        parsed = orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell
    return parsed if isinstance(parsed, int | dict) and not isinstance(parsed, bool) else cell


def _time(name: str, cell: str) -> Instant | None:
    try:
        return parse_time(cell) if cell else None
    except TimeError as error:
        raise TimeError(f"{name}: {error}") from None


def _invalid(faults: Sequence[str]) -> InvalidError:
    faults = TableError(faults).faults
    return InvalidError("invalid_import", "nothing was granted: the file is not taken", faults=tuple(faults))


async def _project(connection: AsyncConnection, name: str) -> Project | RefusedError:
    try:
        return await projects.find(connection, name)
    except RefusedError as error:
        return error


async def _foresee(connection: AsyncConnection, chunk: Sequence[Row]) -> list[Told]:
    told = []
    for row in chunk:
        has = await _has(connection, await projects.find(connection, row.project), row.order)
        told.append(Told(row, RowOutcome.ALREADY if has else RowOutcome.GRANTED))
    return told


async def _has(connection: AsyncConnection, project: Project, order: GrantOrder) -> bool:
    parameters = {
        "project_id": project.id,
        "user_id": order.user,
        "feature": order.feature,
        "value": None if order.value is None else orjson.dumps(order.value).decode(),
        "valid_from": None if order.valid_from is None else to_datetime(order.valid_from),
        "valid_to": None if order.valid_to is None else to_datetime(order.valid_to),
    }
    found: bool = (await connection.execute(_HAS, parameters)).scalar_one()
    return found


_HAS: Final = text("""
SELECT EXISTS (SELECT FROM manual_grants g WHERE g.user_ref = (
        SELECT coalesce(merged_into, id) FROM users WHERE project_id = :project_id AND user_id = :user_id)
    AND g.feature_code = :feature AND g.revoked_at IS NULL
    AND g.value IS NOT DISTINCT FROM CAST(CAST(:value AS text) AS jsonb)
    AND g.valid_to IS NOT DISTINCT FROM CAST(:valid_to AS timestamptz)
    AND (CAST(:valid_from AS timestamptz) IS NULL OR g.valid_from = CAST(:valid_from AS timestamptz)))
""")
