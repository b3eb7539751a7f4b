"""All that is known of one user at one moment, read from one snapshot."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common import document as documents
from common.catalogue import Catalogue
from common.clock import SECOND, Instant, format_time, from_datetime
from common.decision import Decision, decide
from common.document import Entitlement
from common.identifiers import FeatureCode, UserId
from common.position import Position
from writer import history
from writer.db import sources
from writer.domain.catalogue import Definition
from writer.domain.fate import Rules
from writer.explain import facts, holdings, spans, strays
from writer.explain.causes import Removed, Scene
from writer.explain.facts import Facts
from writer.explain.holdings import Holding
from writer.explain.spans import Spans
from writer.explain.strays import Names
from writer.operations import projects
from writer.operations.projects import Project
from writer.recompute import DocumentTooLargeError, Recompute, load_definition

_AHEAD: Final = 3_600 * SECOND
"""Another writer's clock may be ahead of ours: what it has recorded counts as now all the same."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who is meant. `feature` None: all. `at` None: now; a time to come is judged by what is known now."""

    project: str
    user: UserId
    feature: FeatureCode | None = None
    at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A document: where in the project's history it stands, since when, its rows. `position` None: there is none."""

    position: Position | None
    since: Instant | None
    entitlements: Sequence[Entitlement]


@dataclass(frozen=True, slots=True)
class View:
    """What was read. `past`: the moment is over, and what surrounds it now was not looked at."""

    project: Project
    user: UserId
    at: Instant
    past: bool
    rules: Rules
    document: Held
    facts: Facts
    held: Sequence[Holding]
    spans: Spans
    features: Sequence[FeatureCode]
    prices: Mapping[str, Mapping[str, Any]]
    """What the project sells, by price."""
    scene: Scene
    catalogue: Catalogue
    """As a check judges by it."""

    def decision(self, feature: FeatureCode, entitlements: Sequence[Entitlement] | None = None) -> Decision:
        """What a check answers, by its own rule."""
        rows = self.document.entitlements if entitlements is None else entitlements
        return decide(rows, feature, self.catalogue, self.at)


async def read(connection: AsyncConnection, recompute: Recompute, question: Question, now: Instant) -> View:
    """All of it; UnknownError `unknown_project`."""
    project = await projects.find(connection, question.project)
    moment = now if question.at is None else question.at
    past = moment < now
    asked = history.Question(project, question.user)
    rows = await history.rows_of(connection, asked, moment if past else Instant(now + _AHEAD), spans.MOST_CHANGES)
    known = spans.of(rows)
    if past:
        definition = await history.definition_at(connection, project.id, moment)
        since = from_datetime(rows[0].recorded_at) if rows else None
        place = Position(rows[0].epoch, rows[0].revision) if rows else None
        document = Held(place, since, history.held_by(asked, rows[0]) if rows else ())
    else:
        definition = await load_definition(connection, project.id, project.catalog_version)
        document = await _document(connection, project, question.user)
    found = await facts.read(connection, project, question.user, sorted({one.ref for one in known.all.values()}))
    held = holdings.of(found, moment, past=past)
    features = _features(definition, known, held) if question.feature is None else [question.feature]
    missing = [code for code in features if code not in definition.answered]
    scene = Scene(project, question.user, found, removed=await _removed(connection, project, missing, definition))
    rules = Rules(definition, recompute.grace, moment)
    view = View(
        project, question.user, moment, past, rules, document, found, held, known, features,
        await _prices(connection, project), scene, _catalogue(project, definition),
    )  # fmt: skip
    return view if past else await _surrounded(connection, recompute, view)


async def _surrounded(connection: AsyncConnection, recompute: Recompute, view: View) -> View:
    """The same with what is about the user now: events that wait, what is nobody's, whether the document is right."""
    bought = [one.source.id for one in view.held]
    names = Names(view.project, view.user, view.facts.customers, bought)
    obstacle, behind = None, frozenset[FeatureCode]()
    ref = view.facts.user_ref
    if ref is not None:
        try:
            computed = await recompute.preview(
                connection, view.project.id, (await sources.load(connection, [ref]))[ref]
            )
        except DocumentTooLargeError as error:
            obstacle = error.detail
        else:
            behind = _differing(view, computed)
    scene = Scene(
        view.project,
        view.user,
        view.facts,
        await strays.events(connection, names),
        await strays.nobodys(connection, names, view.rules.definition),
        behind,
        obstacle,
        (await connection.execute(_JOB, {"project_id": view.project.id})).scalar_one_or_none(),
        view.scene.removed,
    )
    return replace(view, scene=scene)


def _differing(view: View, computed: Sequence[Entitlement]) -> frozenset[FeatureCode]:
    def answers(decision: Decision) -> tuple[object, ...]:
        return decision.allowed, decision.value

    return frozenset(
        code for code in view.features if answers(view.decision(code)) != answers(view.decision(code, computed))
    )


def _catalogue(project: Project, definition: Definition) -> Catalogue:
    head = project.position
    return Catalogue(
        project.public_id, head.epoch, head.revision, definition.version, definition.answered, definition.unlocked_by()
    )


def _features(definition: Definition, known: Spans, held: Sequence[Holding]) -> list[FeatureCode]:
    """All that the catalogue has, and all that the user ever had beyond it."""
    granted = {one.feature for one in held if one.feature is not None}
    return sorted({*definition.answered, *granted, *(span.feature for span in known.all.values())})


async def _document(connection: AsyncConnection, project: Project, user: UserId) -> Held:
    row = (await connection.execute(_DOCUMENT, {"project_id": project.id, "user_id": user})).one_or_none()
    if row is None:
        return Held(None, None, ())
    since = from_datetime(row.computed_at)
    place = Position(project.position.epoch, row.revision)
    whole = {
        "user_id": user,
        "project_id": project.public_id,
        "epoch": place.epoch,
        "revision": place.revision,
        "computed_at": format_time(since),
        "entitlements": row.body,
    }
    return Held(place, since, documents.from_json(whole).entitlements)


async def _prices(connection: AsyncConnection, project: Project) -> dict[str, Mapping[str, Any]]:
    rows = (await connection.execute(_PRICES, {"project_id": project.id})).mappings()
    return {row["price_id"]: dict(row) for row in rows}


async def _removed(
    connection: AsyncConnection, project: Project, missing: Collection[FeatureCode], definition: Definition
) -> dict[FeatureCode, Removed]:
    if not missing:
        return {}
    parameters = {"project_id": project.id, "codes": list(missing), "version": definition.version}
    rows = await connection.execute(_REMOVED, parameters)
    return {FeatureCode(row.code): Removed(row.version, from_datetime(row.created_at), row.actor) for row in rows}


_DOCUMENT: Final = text("""
SELECT d.revision, d.computed_at, d.body FROM documents d JOIN users u ON u.id = d.user_ref
WHERE u.project_id = :project_id AND u.user_id = :user_id
""")

_JOB: Final = text("SELECT max(id) FROM recompute_jobs WHERE project_id = :project_id AND finished_at IS NULL")

_PRICES: Final = text("""
SELECT c.id AS price_id, c.product_id, d.name AS product_name, c.nickname AS price_name, c.type, c.unit_amount,
    c.currency, c.interval
FROM prices c LEFT JOIN products d ON d.id = c.product_id WHERE c.project_id = :project_id
""")

# The version after the last one that had the feature; up to the one in force at the moment that is asked for.
_REMOVED: Final = text("""
SELECT w.code, v.version, v.created_at, v.actor
FROM unnest(CAST(:codes AS text[])) AS w(code)
CROSS JOIN LATERAL (SELECT max(h.version) AS version FROM catalog_versions h
    WHERE h.project_id = :project_id AND h.version <= :version AND jsonb_exists(h.definition->'features', w.code)) l
JOIN catalog_versions v ON v.project_id = :project_id AND v.version = l.version + 1
""")
