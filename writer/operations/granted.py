"""Manual grants as operators look for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime
from common.identifiers import FeatureCode, UserId


class GrantState(StrEnum):
    """What a manual grant is at the moment."""

    ACTIVE = "active"
    SCHEDULED = "scheduled"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class GrantFilter:
    """Which grants are meant; what is None does not matter."""

    project_id: int | None = None
    user: UserId | None = None
    feature: FeatureCode | None = None
    state: GrantState | None = None


@dataclass(frozen=True, slots=True)
class ManualGrant:
    """A feature given by an operator, as it stands."""

    id: int
    project: str
    user: UserId
    feature: FeatureCode
    value: Any
    valid_from: Instant
    valid_to: Instant | None
    state: GrantState
    reason: str
    actor: str
    created_at: Instant
    revoked_at: Instant | None
    revoked_by: str | None
    revoke_reason: str | None


async def search(
    connection: AsyncConnection, chosen: GrantFilter, before: int | None, limit: int
) -> Sequence[ManualGrant]:
    """Grants, the newest first, those with a smaller id than `before`, at most `limit`."""
    parameters = {
        "project_id": chosen.project_id,
        "user_id": chosen.user,
        "feature": chosen.feature,
        "state": None if chosen.state is None else chosen.state.value,
        "before": before,
        "limit": limit,
    }
    return [_grant(row) for row in await connection.execute(_SEARCH, parameters)]


def to_json(grant: ManualGrant) -> dict[str, Any]:
    """The grant in its public shape."""
    return {
        "grant_id": grant.id,
        "project_id": grant.project,
        "user_id": grant.user,
        "feature": grant.feature,
        "value": grant.value,
        "valid_from": format_time(grant.valid_from),
        "valid_to": _text(grant.valid_to),
        "state": grant.state.value,
        "reason": grant.reason,
        "actor": grant.actor,
        "created_at": format_time(grant.created_at),
        "revoked_at": _text(grant.revoked_at),
        "revoked_by": grant.revoked_by,
        "revoke_reason": grant.revoke_reason,
    }


def _grant(row: Row[Any]) -> ManualGrant:
    return ManualGrant(
        id=row.id,
        project=row.public_id,
        user=UserId(row.user_id),
        feature=FeatureCode(row.feature_code),
        value=row.value,
        valid_from=from_datetime(row.valid_from),
        valid_to=_instant(row.valid_to),
        state=GrantState(row.state),
        reason=row.reason,
        actor=row.actor,
        created_at=from_datetime(row.created_at),
        revoked_at=_instant(row.revoked_at),
        revoked_by=row.revoked_by,
        revoke_reason=row.revoke_reason,
    )


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)


def _text(moment: Instant | None) -> str | None:
    return None if moment is None else format_time(moment)


_SEARCH: Final = text("""
SELECT * FROM (
    SELECT g.*, p.public_id, u.user_id, CASE WHEN g.revoked_at IS NOT NULL THEN 'revoked'
        WHEN g.valid_from > now() THEN 'scheduled' WHEN g.valid_to <= now() THEN 'expired' ELSE 'active' END AS state
    FROM manual_grants g JOIN users u ON u.id = g.user_ref JOIN projects p ON p.id = u.project_id
    WHERE (CAST(:project_id AS bigint) IS NULL OR u.project_id = CAST(:project_id AS bigint))
        AND (CAST(:user_id AS text) IS NULL OR u.user_id = CAST(:user_id AS text))
        AND (CAST(:feature AS text) IS NULL OR g.feature_code = CAST(:feature AS text))
        AND (CAST(:before AS bigint) IS NULL OR g.id < CAST(:before AS bigint))) found
WHERE CAST(:state AS text) IS NULL OR state = CAST(:state AS text)
ORDER BY id DESC LIMIT :limit
""")
