"""The product's queries, as the model of Postgres answers them. Each is given the database, parameters and the time."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import orjson

from common.clock import Instant, to_datetime
from tests.simulation.postgres_state import Database, DocumentRow, OutboxRow, ProjectRow
from tests.support import ledger
from writer import documents, lineage, outbox, recompute
from writer.db import direct
from writer.relay import backlog, heads, project_snapshot


class Row(dict[str, Any]):
    """Columns by name, as attributes too."""

    __getattr__ = dict.__getitem__


Parameters = Mapping[str, Any]
Read = Callable[[Database, Parameters, float], list[Row]]


def _head(row: ProjectRow) -> Row:
    return Row(
        id=row.id, public_id=row.public_id, epoch=row.epoch, revision=row.revision, user_count=row.user_count,
        digest=row.digest,
    )  # fmt: skip


def _entry(row: OutboxRow) -> Row:
    return Row(
        epoch=row.epoch, revision=row.revision, op=row.op, body=row.body, user_count=row.user_count,
        digest=row.digest, received_us=row.received_us, trail=row.trail,
    )  # fmt: skip


def _all_heads(database: Database, _: Parameters, __: float) -> list[Row]:
    return [_head(row) for row in database.projects.values()]


def _one_head(database: Database, given: Parameters, _: float) -> list[Row]:
    return [_head(database.projects[given["project_id"]])]


def _following(database: Database, given: Parameters, _: float) -> list[Row]:
    rows = database.outbox.get(given["project_id"], ())
    found = [row for row in rows if row.epoch == given["epoch"] and row.revision > given["after"]]
    return [_entry(row) for row in found[: given["limit"]]]


def _page(database: Database, given: Parameters, now: float) -> list[Row]:
    row = database.projects[given["project_id"]]
    head = {
        "public_id": row.public_id, "head_epoch": row.epoch, "head_revision": row.revision,
        "head_count": row.user_count, "head_digest": row.digest,
    }  # fmt: skip
    return [Row(head, **entry) for entry in _following(database, given, now)] or [Row(head, revision=None)]


def _start(database: Database, given: Parameters, _: float) -> list[Row]:
    project = database.projects[given["project_id"]]
    present = [row for row in database.outbox.get(project.id, ()) if row.epoch == project.epoch]
    cursor = [row for row in present if (row.epoch, row.revision) == (given["epoch"], given["revision"])]
    found = Row(_head(project), first=min((row.revision for row in present), default=None))
    found["cursor_count"] = cursor[0].user_count if cursor else None
    found["cursor_digest"] = cursor[0].digest if cursor else None
    return [found]


def _snapshot_head(database: Database, given: Parameters, _: float) -> list[Row]:
    row = database.projects[given["project_id"]]
    version = row.versions.get(row.catalog_version)
    return [
        Row(
            _head(row), catalog_version=row.catalog_version, catalog_revision=0 if version is None else version.revision
        )
    ]


def _definition(database: Database, given: Parameters, _: float) -> list[Row]:
    return [Row(definition=database.projects[given["project_id"]].versions[given["version"]].definition)]


def _document(row: DocumentRow, now: float) -> Row:
    return Row(
        user_ref=row.user_ref, user_id=row.user_id, revision=row.revision, digest=row.digest, is_empty=row.is_empty,
        body=orjson.dumps(row.body).decode(), computed_us=row.computed_us, age=now - row.computed_us / 1_000_000,
    )  # fmt: skip


def _documents(database: Database, given: Parameters) -> list[DocumentRow]:
    rows = database.projects[given["project_id"]].documents
    return [rows[ref] for ref in sorted(rows)]


def _all_documents(database: Database, given: Parameters, now: float) -> list[Row]:
    return [_document(row, now) for row in _documents(database, given)]


def _non_empty(database: Database, given: Parameters, now: float) -> list[Row]:
    return [_document(row, now) for row in _documents(database, given) if not row.is_empty]


def _documents_after(database: Database, given: Parameters, now: float) -> list[Row]:
    found = [row for row in _documents(database, given) if row.user_ref > given["after"]]
    return [_document(row, now) for row in found[: given["limit"]]]


def _documents_of(database: Database, given: Parameters, now: float) -> list[Row]:
    return [_document(row, now) for row in _documents(database, given) if row.user_id in given["users"]]


def _held(database: Database, given: Parameters, _: float) -> list[Row]:
    project = database.projects[given["project_id"]]
    row = Row(
        public_id=project.public_id, epoch=project.epoch, head=project.revision,
        catalog_version=project.catalog_version, revision=None, computed_at=None, body=None,
    )  # fmt: skip
    document = project.documents.get(database.users.get((project.id, given["user_id"]), -1))
    if document is not None:
        computed_at = to_datetime(Instant(document.computed_us))
        row.update(revision=document.revision, computed_at=computed_at, body=document.body)
    return [row]


def _recorded(database: Database, _: Parameters, __: float) -> list[Row]:
    moved = any(row.home_oid != database.table_oid for row in database.projects.values())
    return [Row(identity=database.identity, moved=moved)]


def _moved(database: Database, _: Parameters, __: float) -> list[Row]:
    return [Row(id=row.id) for row in database.projects.values() if row.home_oid != database.table_oid]


def _system(database: Database, _: Parameters, __: float) -> list[Row]:
    return [Row(told=database.system)]


def _same(database: Database, _: Parameters, __: float) -> list[Row]:
    return [Row(told="00000001")]


def _digests(database: Database, given: Parameters, _: float) -> list[Row]:
    return [
        Row(user_ref=ref, digest=row.digest)
        for project in database.projects.values()
        for ref, row in project.documents.items()
        if ref in given["refs"]
    ]


def _version(database: Database, given: Parameters, _: float) -> list[Row]:
    return [Row(version=database.projects[given["id"]].catalog_version)]


@cache
def sql_of(statement: Any) -> str:
    """By which a statement is known."""
    return " ".join((statement.sql if isinstance(statement, direct.Statement) else str(statement)).split())


READS: Final[dict[str, Read]] = {
    sql_of(statement): read
    for statement, read in (
        (heads._ALL, _all_heads),
        (heads._ONE, _one_head),
        (backlog._PAGE, _page),
        (backlog._START, _start),
        (outbox._READ, _following),
        (project_snapshot._HEAD, _snapshot_head),
        (project_snapshot._ALL, _all_documents),
        (project_snapshot._NON_EMPTY, _non_empty),
        (project_snapshot._AFTER, _documents_after),
        (project_snapshot._OF, _documents_of),
        (recompute._DEFINITION, _definition),
        (documents._HELD, _held),
        (lineage._RECORDED, _recorded),
        (lineage._MOVED, _moved),
        (direct._ANYTHING, _same),
        (ledger._DIGESTS, _digests),
        (ledger._VERSION, _version),
        ("SELECT system_identifier::text FROM pg_control_system()", _system),
        ("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)", _same),
        ("SELECT oid::text FROM pg_database WHERE datname = current_database()", _same),
    )
}
"""By the statement's text."""
