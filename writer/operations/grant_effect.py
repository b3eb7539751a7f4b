"""What giving or taking back a grant would do to the answer: by the same rules, and nothing is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.catalogue import Catalogue
from common.clock import Instant
from common.decision import Decision, decide
from common.identifiers import FeatureCode, UserId
from writer.db import sources
from writer.domain.entitle import Grace, entitle
from writer.domain.sources import NOTHING, GrantSource, Sources
from writer.operations import grants
from writer.operations.grants import GrantOrder
from writer.operations.projects import Project
from writer.recompute import load_definition
from writer.refusals import UnknownError

_IMAGINED: Final = "imagined"


@dataclass(frozen=True, slots=True)
class Effect:
    """One user's answer for one feature, now and after the act."""

    user: UserId
    feature: FeatureCode
    before: Decision
    after: Decision
    starts: Instant | None = None
    """Of a grant that begins later: `after` is the answer at that time."""


@dataclass(frozen=True, slots=True)
class Rules:
    """By what is judged, and when."""

    grace: Grace
    now: Instant


async def of_grant(connection: AsyncConnection, project: Project, order: GrantOrder, rules: Rules) -> Effect:
    """What `grants.create` would do; it refuses what that refuses."""
    await grants.check(connection, project, order, rules.now)
    held = await _sources(connection, project, order.user)
    starts = rules.now if order.valid_from is None else order.valid_from
    given = GrantSource(_IMAGINED, order.feature, order.value, starts, order.valid_to)
    after = replace(held, grants=(*held.grants, given))
    later = starts if starts > rules.now else None
    judged = await _judged(connection, project, order.feature, [held, after], rules, max(starts, rules.now))
    return Effect(order.user, order.feature, judged[0], judged[1], later)


async def of_revocation(connection: AsyncConnection, project: Project, grant_id: int, rules: Rules) -> Effect:
    """What `grants.revoke` would do to a grant's user; UnknownError `unknown_grant`."""
    row = (await connection.execute(_GRANT, {"project_id": project.id, "id": grant_id})).one_or_none()
    if row is None:
        raise UnknownError("unknown_grant", f"project {project.public_id} has no such manual grant")
    user, feature = UserId(row.user_id), FeatureCode(row.feature_code)
    held = await _sources(connection, project, user)
    after = replace(held, grants=tuple(one for one in held.grants if one.id != str(grant_id)))
    judged = await _judged(connection, project, feature, [held, after], rules, rules.now)
    return Effect(user, feature, judged[0], judged[1])


async def _sources(connection: AsyncConnection, project: Project, user: UserId) -> Sources:
    found = await connection.execute(_USER, {"project_id": project.id, "user_id": user})
    ref = found.scalar_one_or_none()
    return NOTHING if ref is None else (await sources.load(connection, [ref]))[ref]


async def _judged(
    connection: AsyncConnection,
    project: Project,
    feature: FeatureCode,
    held: Sequence[Sources],
    rules: Rules,
    later: Instant,
) -> list[Decision]:
    """The answer now by the first of `held`, and at `later` by the second."""
    definition = await load_definition(connection, project.id, project.catalog_version)
    head = project.position
    catalogue = Catalogue(
        project.public_id, head.epoch, head.revision, definition.version, definition.answered, definition.unlocked_by()
    )
    moments = (rules.now, later)
    return [
        decide(entitle(one, definition, rules.grace, rules.now), feature, catalogue, moment)
        for one, moment in zip(held, moments, strict=True)
    ]


_USER: Final = text("SELECT id FROM users WHERE project_id = :project_id AND user_id = :user_id")

_GRANT: Final = text("""
SELECT u.user_id, g.feature_code FROM manual_grants g JOIN users u ON u.id = g.user_ref
WHERE u.project_id = :project_id AND g.id = :id
""")
