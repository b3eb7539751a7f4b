"""What a database holds at one moment: rows of each table, where each project stands, which schema, which database."""

from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from writer.backup.manifest import Contents, Manifest, ProjectStanding
from writer.relay.heads import Standing
from writer.relay.project_snapshot import ProjectSnapshots
from writer.verify.postgres_side import compare_documents
from writer.verify.report import Finding, Report

_MOST_NAMED: Final = 20


async def read(connection: AsyncConnection, identity: str) -> Contents:
    """All of it, in the transaction that the connection is in: REPEATABLE READ, so that it is of one moment."""
    server = (await connection.execute(_SERVER)).one()
    tables = {row.shown: await _count(connection, row) for row in await connection.execute(_TABLES)}
    revision = None
    if "alembic_version" in tables:
        revision = (await connection.execute(_REVISION)).scalar_one_or_none()
    projects = [_standing(row) for row in await connection.execute(_PROJECTS)] if "projects" in tables else []
    return Contents(server.now, server.version, revision, server.database, identity, tables, tuple(projects))


async def differences(engine: AsyncEngine, manifest: Manifest | None) -> list[str]:
    """How what was loaded differs from what was dumped, and from itself. In words; none where all is as it was."""
    snapshot = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    async with snapshot.connect() as connection:
        now = await read(connection, "")
        ids = {row.public_id: row.id for row in await connection.execute(_IDS)} if now.projects else {}
    found = [] if manifest is None else list(_from_manifest(manifest.contents, now))
    if now.schema_revision is None:
        found.append("it holds no schema of this service: there is no row in alembic_version")
    snapshots = ProjectSnapshots(engine)
    for project in now.projects:
        found += await _of_documents(snapshots, project.project, ids[project.project])
    return found


async def _count(connection: AsyncConnection, row: Row[Any]) -> int:
    counting = text(f"SELECT count(*) FROM {row.quoted}")  # noqa: S608 - quoted by Postgres itself
    return int((await connection.execute(counting)).scalar_one())


def _standing(row: Row[Any]) -> ProjectStanding:
    return ProjectStanding(row.public_id, row.epoch, row.revision, row.user_count, row.digest)


def _from_manifest(then: Contents, now: Contents) -> list[str]:
    found = [
        f"{table}: {now.tables.get(table, 'no such table')} rows, {count} were dumped"
        for table, count in then.tables.items()
        if now.tables.get(table) != count
    ]
    found += [f"{table}: was not dumped" for table in now.tables if table not in then.tables]
    if then.schema_revision != now.schema_revision:
        found.append(f"the schema is at {now.schema_revision}, {then.schema_revision} was dumped")
    standing = {project.project: project for project in now.projects}
    found += [
        f"project {project.project}: {_told(standing.get(project.project))}, dumped was {_told(project)}"
        for project in then.projects
        if standing.get(project.project) != project
    ]
    return found


async def _of_documents(snapshots: ProjectSnapshots, project: str, project_id: int) -> list[str]:
    async with snapshots.open(project_id) as snapshot:
        head = snapshot.head
        report = Report(head.project_id, Standing(head.position, head.count, head.digest))
        await compare_documents(snapshot, report)
    return [f"project {project}: {_words(one)}" for one in report.findings[:_MOST_NAMED]]


def _told(project: ProjectStanding | None) -> str:
    return (
        "missing" if project is None else f"{project.epoch}.{project.revision}, {project.users} users, {project.digest}"
    )


def _words(finding: Finding) -> str:
    return f"{finding.kind.value} of {finding.subject}: {finding.detail}"


_SERVER: Final = text("""
SELECT now() AS now, current_setting('server_version') AS version, current_database()::text AS database
""")
_TABLES: Final = text("""
SELECT format('%I.%I', n.nspname, c.relname) AS quoted,
    CASE n.nspname WHEN 'public' THEN c.relname::text ELSE n.nspname || '.' || c.relname END AS shown
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 2
""")
_REVISION: Final = text("SELECT version_num FROM alembic_version")
_IDS: Final = text("SELECT id, public_id FROM projects")
_PROJECTS: Final = text("""
SELECT public_id, epoch, revision, user_count, encode(digest, 'hex') AS digest FROM projects ORDER BY public_id
""")
