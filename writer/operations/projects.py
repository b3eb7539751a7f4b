"""Projects: each a world of users, features and revisions of its own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import SECOND, Instant, format_time, from_datetime
from common.identifiers import IdentifierError, ProjectId, project_id
from common.position import Position
from writer import outbox
from writer.domain.catalogue import Definition
from writer.operations import audit
from writer.operations.audit import Act, Actor
from writer.refusals import ConflictError, InvalidError, UnknownError

_HOST: Final = re.compile(r"(?=.{1,253}$)(?:localhost|[a-z0-9](?:[a-z0-9-]{0,62}\.?)+)(?::\d{1,5})?")
_MAX_NAME: Final = 200
_MAX_HOSTS: Final = 50
_MAX_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Project:
    """A project as it stands; `id` is internal, `public_id` is what apps and keys name."""

    id: int
    public_id: ProjectId
    name: str
    position: Position
    user_count: int
    catalog_version: int
    return_hosts: tuple[str, ...]
    portal_configuration: str | None
    created_at: Instant


async def create(
    connection: AsyncConnection,
    public_id: str,
    name: str,
    return_hosts: Sequence[str],
    actor: Actor,
    now: Instant,
) -> Project:
    """A new project. Its first revision is an empty catalogue, so that a sidecar can be in step with it at once."""
    _check(public_id, name, return_hosts)
    parameters = {
        "public_id": public_id,
        "name": name,
        "epoch": now // SECOND,
        "return_hosts": list(return_hosts),
    }
    inserted = (await connection.execute(_INSERT, parameters)).one_or_none()
    if inserted is None:
        raise ConflictError("project_exists", f"there is a project {public_id} already")
    await connection.execute(_INSERT_LEASE, {"project_id": inserted.id})
    await outbox.append_catalogue(connection, inserted.id, Definition(version=1), actor=actor.name, now=now)
    project = await find(connection, public_id)
    await audit.record(
        connection, actor, Act("project.create", project.id, f"project:{public_id}", after=to_json(project))
    )
    return project


async def list_all(
    connection: AsyncConnection, after: str | None = None, limit: int | None = None
) -> Sequence[Project]:
    """Every project, by public id; those behind `after`, at most `limit`."""
    return [_project(row) for row in await connection.execute(_LIST, {"after": after, "limit": limit})]


async def find(connection: AsyncConnection, public_id: str) -> Project:
    """The project of that public id; UnknownError `unknown_project`."""
    try:
        name = project_id(public_id)
    except IdentifierError as error:  # Postgres cannot be asked for every text: it has no U+0000
        raise UnknownError("unknown_project", f"there is no such project: {error}") from error
    row = (await connection.execute(_FIND, {"public_id": name})).one_or_none()
    if row is None:
        raise UnknownError("unknown_project", f"there is no project {public_id}")
    return _project(row)


async def find_by_id(connection: AsyncConnection, internal_id: int) -> Project:
    """The project of that internal id; UnknownError `unknown_project`."""
    possible = internal_id <= _MAX_ID
    row = (await connection.execute(_FIND_BY_ID, {"id": internal_id})).one_or_none() if possible else None
    if row is None:
        raise UnknownError("unknown_project", f"there is no project with the internal id {internal_id}")
    return _project(row)


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change of a project; None leaves it, an empty `portal_configuration` clears it."""

    name: str | None = None
    return_hosts: Sequence[str] | None = None
    portal_configuration: str | None = None


async def update(connection: AsyncConnection, public_id: str, changes: Changes, actor: Actor) -> Project:
    """Change a project's settings. Users and revisions are not touched."""
    before = await find(connection, public_id)
    name = before.name if changes.name is None else changes.name
    hosts = before.return_hosts if changes.return_hosts is None else tuple(changes.return_hosts)
    portal = before.portal_configuration if changes.portal_configuration is None else changes.portal_configuration
    _check(public_id, name, hosts)
    if portal and not portal.startswith("bpc_"):
        raise InvalidError("invalid_portal_configuration", "portal_configuration must be a Stripe id that begins bpc_")
    parameters = {"id": before.id, "name": name, "return_hosts": list(hosts), "portal": portal or None}
    await connection.execute(_UPDATE, parameters)
    after = await find(connection, public_id)
    if after != before:
        act = Act("project.update", after.id, f"project:{public_id}", before=to_json(before), after=to_json(after))
        await audit.record(connection, actor, act)
    return after


def to_json(project: Project) -> dict[str, Any]:
    """The project in its public shape."""
    return {
        "project_id": project.public_id,
        "name": project.name,
        "epoch": project.position.epoch,
        "revision": project.position.revision,
        "user_count": project.user_count,
        "catalog_version": project.catalog_version,
        "return_hosts": list(project.return_hosts),
        "portal_configuration": project.portal_configuration,
        "created_at": format_time(project.created_at),
    }


def _check(public_id: str, name: str, return_hosts: Sequence[str]) -> None:
    try:
        project_id(public_id)
    except IdentifierError as error:
        raise InvalidError("invalid_project", str(error)) from error
    if public_id in {".", ".."}:  # clients resolve them in paths, so that no route would ever reach the project
        raise InvalidError(
            "invalid_project", "project_id must not be . or .., which have a meaning of their own in URLs"
        )
    if not 1 <= len(name) <= _MAX_NAME:
        raise InvalidError("invalid_name", f"name must have 1 to {_MAX_NAME} characters")
    wrong = [host for host in return_hosts if not _HOST.fullmatch(host)]
    if wrong or len(return_hosts) > _MAX_HOSTS:
        raise InvalidError(
            "invalid_return_hosts",
            f"return_hosts takes up to {_MAX_HOSTS} host names in lower case, with a port where it is not the "
            f"usual one, such as app.example.com or localhost:3000{'; wrong: ' if wrong else ''}{', '.join(wrong)}",
        )


def _project(row: Row[Any]) -> Project:
    return Project(
        row.id,
        ProjectId(row.public_id),
        row.name,
        Position(row.epoch, row.revision),
        row.user_count,
        row.catalog_version,
        tuple(row.return_hosts),
        row.portal_configuration,
        from_datetime(row.created_at),
    )


_SELECT: Final = """
SELECT id, public_id, name, epoch, revision, user_count, catalog_version, return_hosts, portal_configuration, created_at
FROM projects
"""
_LIST: Final = text(f"""{_SELECT}
WHERE CAST(:after AS text) IS NULL OR public_id > CAST(:after AS text)
ORDER BY public_id LIMIT CAST(:limit AS bigint)
""")
_FIND: Final = text(f"{_SELECT} WHERE public_id = :public_id")
_FIND_BY_ID: Final = text(f"{_SELECT} WHERE id = :id")

_INSERT: Final = text("""
INSERT INTO projects (public_id, name, epoch, home_oid, return_hosts)
VALUES (:public_id, :name, :epoch, 'projects'::regclass::oid, :return_hosts)
ON CONFLICT (public_id) DO NOTHING RETURNING id
""")

_INSERT_LEASE: Final = text("INSERT INTO relay_leases (project_id) VALUES (:project_id)")

_UPDATE: Final = text("""
UPDATE projects SET name = :name, return_hosts = :return_hosts, portal_configuration = :portal WHERE id = :id
""")
