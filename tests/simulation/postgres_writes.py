"""The product's statements that change something, as the model of Postgres runs them.

Each names the rows that it locks; under them it is given the database, parameters and the time, and answers its rows
and what is to be done to the database when the transaction commits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from common.clock import parse_time
from common.position import Position
from tests.simulation.postgres_reads import Parameters, Row, sql_of
from tests.simulation.postgres_state import (
    Database,
    DocumentRow,
    LeaseRow,
    OutboxRow,
    ProjectRow,
    VersionRow,
)
from tests.support import ledger
from writer import lineage, outbox, recompute
from writer.operations import erasure
from writer.relay import lease

Change = Callable[[Database], Database]
Lock = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """`locks`: which rows it holds to the transaction's end, in the order in which it takes them."""

    run: Callable[[Database, Parameters, float], tuple[list[Row], Change | None]]
    locks: Callable[[Database, Parameters], Sequence[Lock]] = lambda _, __: ()


def _project_locks(_: Database, given: Parameters) -> list[Lock]:
    return [("project", project_id) for project_id in sorted(given["ids"])]


def _lock_projects(database: Database, given: Parameters, _: float) -> tuple[list[Row], Change | None]:
    rows = [database.projects[project_id] for project_id in sorted(given["ids"])]
    return [
        Row(
            id=row.id, public_id=row.public_id, epoch=row.epoch, revision=row.revision, user_count=row.user_count,
            digest=row.digest, catalog_version=row.catalog_version, at_home=row.home_oid == database.table_oid,
        )
        for row in rows
    ], None  # fmt: skip


def _append_users(_: Database, given: Parameters, now: float) -> tuple[list[Row], Change | None]:
    rows: list[Any] = orjson.loads(given["rows"])
    heads: list[Any] = orjson.loads(given["heads"])
    received_us = None if given["received_at"] is None else parse_time(given["received_at"])
    trail = None if given["trail"] is None else orjson.loads(given["trail"])

    def change(database: Database) -> Database:
        for head in heads:
            own = [row for row in rows if row["project_id"] == head["id"]]
            documents = {row["user_ref"]: _document_row(row) for row in own}
            project = database.projects[head["id"]]
            database = database.with_project(
                replace(
                    project, revision=head["revision"], user_count=head["user_count"],
                    digest=bytes.fromhex(head["digest"]), documents={**project.documents, **documents},
                )
            )  # fmt: skip
            told = [
                OutboxRow(
                    row["epoch"], row["revision"], "user", row["document"], row["user_count"],
                    bytes.fromhex(row["digest"]), received_us, now, trail,
                )
                for row in own
            ]  # fmt: skip
            database = _told(database, head["id"], told)
        return database

    return [], change


def _document_row(row: Any) -> DocumentRow:
    return DocumentRow(
        row["user_ref"], row["user_id"], row["revision"], bytes.fromhex(row["document_digest"]),
        parse_time(row["computed_at"]), row["is_empty"], row["entitlements"],
    )  # fmt: skip


def _told(database: Database, project_id: int, rows: Sequence[OutboxRow]) -> Database:
    return replace(database, outbox={**database.outbox, project_id: (*database.outbox.get(project_id, ()), *rows)})


def _append_catalogue(_: Database, given: Parameters, now: float) -> tuple[list[Row], Change | None]:
    def change(database: Database) -> Database:
        project = database.projects[given["project_id"]]
        version = VersionRow(given["epoch"], given["revision"], orjson.loads(given["definition"]))
        database = database.with_project(
            replace(
                project, revision=given["revision"], catalog_version=given["version"],
                versions={**project.versions, given["version"]: version},
            )
        )  # fmt: skip
        told = OutboxRow(
            given["epoch"], given["revision"], "catalog", orjson.loads(given["body"]), given["user_count"],
            given["digest"], None, now,
        )  # fmt: skip
        return _told(database, project.id, [told])

    return [], change


def _user_locks(_: Database, given: Parameters) -> list[Lock]:
    return [("user", *key) for key in sorted(zip(given["project_ids"], given["user_ids"], strict=True))]


def _lock_users(database: Database, given: Parameters, _: float) -> tuple[list[Row], Change | None]:
    return _users(database, zip(given["project_ids"], given["user_ids"], strict=True)), None


def _lock_user(database: Database, given: Parameters, _: float) -> tuple[list[Row], Change | None]:
    return _users(database, [(given["project_ids"][0], given["user_ids"][0])]), None


def _users(database: Database, keys: Any) -> list[Row]:
    found = [(key, database.users.get(key)) for key in sorted(keys)]
    return [_user(key, ref) for key, ref in found if ref is not None]


def _user(key: Any, ref: int) -> Row:
    """Nobody is ever merged into anybody else here."""
    return Row(id=ref, project_id=key[0], user_id=key[1], merged_into=None)


def _add_users(database: Database, given: Parameters, _: float) -> tuple[list[Row], Change | None]:
    keys = zip(given["project_ids"], given["user_ids"], strict=True)
    new = [key for key in sorted(keys) if key not in database.users]
    added = {key: len(database.users) + number for number, key in enumerate(new, 1)}
    rows = [_user(key, ref) for key, ref in added.items()]
    return rows, lambda now_there: replace(now_there, users={**now_there.users, **added})


def _add_project(database: Database, given: Parameters, now: float) -> tuple[list[Row], Change | None]:
    epoch = int(now) if given["epoch"] is None else given["epoch"]
    row = ProjectRow(len(database.projects) + 1, given["project"], epoch, database.table_oid)
    return [Row(id=row.id)], lambda now_there: now_there.with_project(row)


def _renew(database: Database, given: Parameters, now: float) -> tuple[list[Row], Change | None]:
    owner, rows, leases = given["owner"], [], dict(database.leases)
    for project_id, project in sorted(database.projects.items()):
        held = leases.get(project_id, LeaseRow(None, 0, 0.0, Position(0, 0)))
        if held.owner in {owner, None} or held.expires_at < now:
            fence = held.fence + (held.owner != owner)
            leases[project_id] = LeaseRow(owner, fence, now + given["seconds"], held.relayed)
            rows.append(
                Row(
                    project_id=project_id, fence=fence, relayed_epoch=held.relayed.epoch,
                    relayed_revision=held.relayed.revision, public_id=project.public_id,
                )
            )  # fmt: skip
    return rows, lambda now_there: replace(now_there, leases=leases)


def _advance(database: Database, given: Parameters, _: float) -> tuple[list[Row], Change | None]:
    project_id = given["project_id"]
    held = database.leases.get(project_id)
    if held is None or (held.owner, held.fence) != (given["owner"], given["fence"]):
        return [], None
    moved = replace(held, relayed=max(held.relayed, Position(given["epoch"], given["revision"])))
    return [Row(project_id=project_id)], lambda now_there: now_there.with_lease(project_id, moved)


def _release(database: Database, given: Parameters, _: float) -> tuple[list[Row], Change | None]:
    def change(now_there: Database) -> Database:
        for project_id, held in now_there.leases.items():
            if held.owner == given["owner"]:
                now_there = now_there.with_lease(project_id, replace(held, owner=None, expires_at=float("-inf")))
        return now_there

    return [], change


def _trim(database: Database, given: Parameters, now: float) -> tuple[list[Row], Change | None]:
    project = database.projects[given["project_id"]]
    held = database.leases.get(project.id)

    def goes(row: OutboxRow) -> bool:
        return (
            held is not None
            and (row.epoch, row.revision) <= held.relayed
            and row.revision <= project.revision - given["keep_entries"]
            and row.committed_at < now - given["keep_seconds"]
        )

    gone = [row for row in database.outbox.get(project.id, ()) if goes(row)]

    def change(now_there: Database) -> Database:
        kept = tuple(row for row in now_there.outbox.get(project.id, ()) if row not in gone)
        return replace(now_there, outbox={**now_there.outbox, project.id: kept})

    return [Row(gone=True)] * len(gone), change


def _forget_names(_: Database, __: Parameters, ___: float) -> tuple[list[Row], Change | None]:
    """Nobody is ever erased here."""
    return [], None


def _record_first(_: Database, given: Parameters, __: float) -> tuple[list[Row], Change | None]:
    identity = given["identity"]
    return [], lambda there: replace(there, identity=identity) if there.identity is None else there


def _lock_lineage(database: Database, _: Parameters, __: float) -> tuple[list[Row], Change | None]:
    return [Row(identity=database.identity)], None


def _lock_all_projects(database: Database, _: Parameters, __: float) -> tuple[list[Row], Change | None]:
    return [Row(id=project_id) for project_id in sorted(database.projects)], None


def _rise(_: Database, given: Parameters, now: float) -> tuple[list[Row], Change | None]:
    def change(database: Database) -> Database:
        for project_id in given["ids"]:
            database = _risen(database, project_id, int(now))
        return database

    return [], change


def _risen(database: Database, project_id: int, epoch: int) -> Database:
    row = database.projects[project_id]
    return database.with_project(replace(row, home_oid=database.table_oid, epoch=max(row.epoch + 1, epoch)))


def _record(_: Database, given: Parameters, __: float) -> tuple[list[Row], Change | None]:
    return [], lambda there: replace(there, identity=given["identity"])


def _raise(database: Database, given: Parameters, now: float) -> tuple[list[Row], Change | None]:
    project_id, epoch = given["project_id"], given["epoch"]
    row = database.projects[project_id]
    if row.position >= (epoch, given["revision"]):
        return [], None
    if given["hearsay"] and epoch > max(row.epoch, int(now) + 86_400):
        return [], None
    after = _risen(database, project_id, max(epoch + 1, int(now)))
    return [Row(epoch=after.projects[project_id].epoch)], lambda there: _risen(
        there, project_id, max(epoch + 1, int(now))
    )


WRITES: Final[dict[str, Write]] = {
    sql_of(statement): write
    for statement, write in (
        (outbox._LOCK_PROJECTS, Write(_lock_projects, _project_locks)),
        (outbox._APPEND_USERS, Write(_append_users)),
        (outbox._APPEND_CATALOGUE, Write(_append_catalogue)),
        (outbox._TRIM, Write(_trim)),
        (erasure._FORGET_NAMES, Write(_forget_names)),
        (
            recompute._LOCK_USER,
            Write(_lock_user, lambda _, given: [("user", given["project_ids"][0], given["user_ids"][0])]),
        ),
        (recompute._LOCK_USERS, Write(_lock_users, _user_locks)),
        (recompute._ADD_USERS, Write(_add_users, lambda d, given: [*_user_locks(d, given), ("sequence",)])),
        (ledger._ADD_PROJECT, Write(_add_project)),
        (lease._RENEW, Write(_renew)),
        (lease._ADVANCE, Write(_advance)),
        (lease._RELEASE, Write(_release)),
        (lineage._RECORD_FIRST, Write(_record_first)),
        (lineage._LOCK, Write(_lock_lineage, lambda _, __: [("lineage",)])),
        (lineage._LOCK_PROJECTS, Write(_lock_all_projects, lambda d, _: [("project", i) for i in sorted(d.projects)])),
        (lineage._RISE, Write(_rise)),
        (lineage._RECORD, Write(_record)),
        (lineage._RAISE, Write(_raise, lambda _, given: [("project", given["project_id"])])),
    )
}
"""By the statement's text."""
