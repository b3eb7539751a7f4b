"""Manual grants: a feature given, or taken back, by an operator, with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime, parse_time, to_datetime
from common.document import Value
from common.identifiers import FeatureCode, UserId
from common.position import Position
from writer.catalogue.declared import keepable, value_fault
from writer.operations import audit
from writer.operations.audit import Act, Actor
from writer.operations.projects import Project, find_by_id
from writer.outbox import Cause
from writer.recompute import Recompute, UserKey, load_definition, lock_users
from writer.refusals import ConflictError, InvalidError, UnknownError

_MAX_REASON: Final = 1_000
_END_OF_TIME: Final = parse_time("9999-12-31T23:59:59.999999Z")
"""The last moment that a datetime can hold; the driver turns it into infinity, with which nothing can be computed."""


@dataclass(frozen=True, slots=True)
class GrantOrder:
    """What is to be given. `valid_from` None is now, `valid_to` None is for life."""

    user: UserId
    feature: FeatureCode
    value: Value
    valid_from: Instant | None
    valid_to: Instant | None
    reason: str
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant as it stands, and where its effect is in the project's history. `changed`: a document changed."""

    id: int
    valid_from: Instant
    position: Position
    changed: bool
    repeated: bool = False
    """The same Idempotency-Key had made it before."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """Which grants ended now; none where all were revoked before."""

    ids: tuple[int, ...]
    position: Position
    changed: bool


async def create(
    connection: AsyncConnection, recompute: Recompute, project: Project, order: GrantOrder, actor: Actor, now: Instant
) -> Granted:
    """Give a feature of the project's catalogue to a user."""
    await check(connection, project, order, now)
    user_ref = (await lock_users(connection, [UserKey(project.id, order.user)]))[UserKey(project.id, order.user)]
    starts = now if order.valid_from is None else order.valid_from
    row = (await connection.execute(_INSERT, _parameters(project, order, user_ref, starts, actor))).one_or_none()
    if row is None:
        return await _repeated(connection, project, order, user_ref)
    act = Act(
        "grant.create", project.id, f"user:{order.user}", order.reason, after={"grant_id": row.id, **_facts(order)}
    )
    await audit.record(connection, actor, act)
    revisions = await recompute.users(connection, [user_ref], Cause(f"grant:{row.id}"))
    return Granted(row.id, starts, await _position(connection, project), bool(revisions))


async def revoke(
    connection: AsyncConnection,
    recompute: Recompute,
    project: Project,
    which: int | tuple[UserId, FeatureCode],
    reason: str,
    actor: Actor,
) -> Revoked:
    """Take back one grant by its id, or every grant of a feature that a user has. Again changes nothing."""
    check_reason(reason)
    parameters: dict[str, Any] = {"project_id": project.id, "id": None, "user_id": None, "feature": None}
    if isinstance(which, int):
        parameters["id"] = which
    else:
        parameters["user_id"], parameters["feature"] = which
    found = (await connection.execute(_FIND, parameters)).all()
    if not found:
        raise UnknownError("unknown_grant", f"project {project.public_id} has no such manual grant")
    user = UserId(found[0].user_id)
    user_ref = (await lock_users(connection, [UserKey(project.id, user)]))[UserKey(project.id, user)]
    ended = {"ids": [row.id for row in found], "actor": actor.name, "reason": reason}
    ids = tuple(sorted((await connection.execute(_REVOKE, ended)).scalars()))
    if not ids:
        return Revoked((), await _position(connection, project), changed=False)
    await audit.record(connection, actor, _revocation(project, user, reason, [row for row in found if row.id in ids]))
    revisions = await recompute.users(connection, [user_ref], Cause(f"grant:{ids[0]}"))
    return Revoked(ids, await _position(connection, project), bool(revisions))


async def holder(connection: AsyncConnection, project: Project, grant_id: int) -> UserId:
    """Whose grant it is, revoked or not; UnknownError `unknown_grant`."""
    parameters = {"project_id": project.id, "id": grant_id, "user_id": None, "feature": None}
    row = (await connection.execute(_FIND, parameters)).one_or_none()
    if row is None:
        raise UnknownError("unknown_grant", f"project {project.public_id} has no such manual grant")
    return UserId(row.user_id)


def _revocation(project: Project, user: UserId, reason: str, ended: Sequence[Row[Any]]) -> Act:
    before = [{"grant_id": row.id, "feature": row.feature_code, "value": row.value} for row in ended]
    return Act("grant.revoke", project.id, f"user:{user}", reason, {"grants": before}, {"grants": []})


async def check(connection: AsyncConnection, project: Project, order: GrantOrder, now: Instant) -> None:
    """Whether it can be given: RefusedError says why not."""
    check_reason(order.reason)
    await check_terms(connection, project, order, now)


async def check_terms(connection: AsyncConnection, project: Project, order: GrantOrder, now: Instant) -> None:
    """Whether it could be given, whatever the reason: UnknownError `unknown_feature`, or InvalidError."""
    definition = await load_definition(connection, project.id, project.catalog_version)
    feature = definition.features.get(order.feature)
    if feature is None:
        known = ", ".join(sorted(definition.features)[:20]) or "none yet"
        raise UnknownError("unknown_feature", f"{order.feature} is no feature of {project.public_id}; it has: {known}")
    fault = value_fault(feature.kind, order.value)
    if fault:
        raise InvalidError("invalid_value", f"value: {fault}; {order.feature} is a {feature.kind.value} feature")
    starts = now if order.valid_from is None else order.valid_from
    if not all(0 <= moment < _END_OF_TIME for moment in (starts, order.valid_to) if moment is not None):
        raise InvalidError(
            "invalid_period",
            "valid_from and valid_to must lie in the years 1970 to 9999; without valid_to it is for life",
        )
    if order.valid_to is not None and order.valid_to <= starts:
        raise InvalidError("invalid_period", "valid_to must be after valid_from, which is now where it is not given")


def check_reason(reason: str) -> None:
    """InvalidError `reason_required`."""
    if not 1 <= len(reason.strip()) <= _MAX_REASON or not keepable(reason):
        raise InvalidError("reason_required", f"reason must have 1 to {_MAX_REASON} characters")


async def _repeated(connection: AsyncConnection, project: Project, order: GrantOrder, user_ref: int) -> Granted:
    row = (await connection.execute(_KEPT, {"key": _key(project, order)})).one()
    if not _is_same(row, order, user_ref):
        detail = "another grant was made with this Idempotency-Key; use a new key for a new grant"
        raise ConflictError("idempotency_key_reused", detail)
    starts = from_datetime(row.valid_from)
    return Granted(row.id, starts, await _position(connection, project), changed=False, repeated=True)


def _is_same(row: Row[Any], order: GrantOrder, user_ref: int) -> bool:
    ends = None if row.valid_to is None else from_datetime(row.valid_to)
    starts = order.valid_from is None or from_datetime(row.valid_from) == order.valid_from
    kept = (row.user_ref, row.feature_code, row.value, ends, row.reason)
    return starts and kept == (user_ref, order.feature, order.value, order.valid_to, order.reason)


async def _position(connection: AsyncConnection, project: Project) -> Position:
    return (await find_by_id(connection, project.id)).position


def _key(project: Project, order: GrantOrder) -> str | None:
    return None if order.idempotency_key is None else f"{project.id}:{order.idempotency_key}"


def _parameters(project: Project, order: GrantOrder, user_ref: int, starts: Instant, actor: Actor) -> dict[str, Any]:
    return {
        "user_ref": user_ref,
        "feature_code": order.feature,
        "value": None if order.value is None else orjson.dumps(order.value).decode(),
        "valid_from": to_datetime(starts),
        "valid_to": None if order.valid_to is None else to_datetime(order.valid_to),
        "reason": order.reason,
        "actor": actor.name,
        "key": _key(project, order),
    }


def _facts(order: GrantOrder) -> dict[str, Any]:
    ends = None if order.valid_to is None else format_time(order.valid_to)
    return {"feature": order.feature, "value": order.value, "valid_to": ends}


_INSERT: Final = text("""
INSERT INTO manual_grants (user_ref, feature_code, value, valid_from, valid_to, reason, actor, idempotency_key)
VALUES (:user_ref, :feature_code, CAST(CAST(:value AS text) AS jsonb), :valid_from, :valid_to, :reason, :actor, :key)
ON CONFLICT (idempotency_key) DO NOTHING RETURNING id
""")

_KEPT: Final = text("""
SELECT id, user_ref, feature_code, value, valid_from, valid_to, reason FROM manual_grants WHERE idempotency_key = :key
""")

_FIND: Final = text("""
SELECT g.id, u.user_id, g.feature_code, g.value FROM manual_grants g JOIN users u ON u.id = g.user_ref
WHERE u.project_id = :project_id AND g.id IN (
    SELECT CAST(:id AS bigint)
    UNION ALL SELECT m.id FROM users w JOIN manual_grants m ON m.user_ref = w.id
    WHERE w.project_id = :project_id AND w.user_id = CAST(:user_id AS text)
        AND m.feature_code = CAST(:feature AS text))
""")

_REVOKE: Final = text("""
UPDATE manual_grants SET revoked_at = now(), revoked_by = :actor, revoke_reason = :reason
WHERE id = ANY(:ids) AND revoked_at IS NULL RETURNING id
""")
