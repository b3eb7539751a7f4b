"""Writes declared catalogues into Stripe's metadata: what the mirror reads back, only where it differs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import ProjectId
from writer.catalogue import stripe_metadata
from writer.catalogue.declared import ProjectCatalog
from writer.domain.catalogue import Plan
from writer.gateway.pages import Fetched

MOST_CHARACTERS: Final = 500
"""Of one metadata value, at Stripe."""

MOST_KEYS: Final = 50

_PROJECT_KEY: Final = "project_id"


class Shelf(Protocol):
    """Prices and products at Stripe."""

    async def retrieve(self, target: str) -> Fetched:
        """As it is now."""
        ...

    async def write_metadata(self, target: str, values: Mapping[str, str | None]) -> dict[str, Any]:
        """Set these keys; None takes one away."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """A project's declared catalogue, and what else its products sell."""

    project_id: int
    project: ProjectId
    declared: ProjectCatalog
    strangers: Mapping[str, Sequence[str]]
    """By product: prices of other projects that do not name their project themselves."""
    left: Mapping[str, str]
    """What was pushed as `feature_codes` to prices and products that no catalogue names any more."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a price or product would say otherwise; None: the key is not there."""

    source: Source
    target: str
    before: Mapping[str, str | None]
    after: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Push:
    """What is to be written; with a fault nothing is. `notes` say what metadata cannot hold."""

    differences: Sequence[Difference]
    same: int
    faults: Sequence[str]
    notes: Sequence[str]


async def read_sources(
    connection: AsyncConnection, sources: Sequence[tuple[int, ProjectId, ProjectCatalog]]
) -> list[Source]:
    """What these projects would write."""
    pushed = {target for _, _, declared in sources for target in declared.plans}
    found = []
    for project_id, project, declared in sources:
        parameters = {
            "project_id": project_id,
            "products": sorted(target for target in declared.plans if target.startswith("prod_")),
            "pushed": sorted(pushed),
        }
        strangers: dict[str, list[str]] = {}
        for row in await connection.execute(_STRANGERS, parameters):
            strangers.setdefault(row.product_id, []).append(row.id)
        left = {row.subject: row.words for row in await connection.execute(_LEFT, {"project_id": project_id})}
        found.append(Source(project_id, project, declared, strangers, left))
    return found


async def compare(shelf: Shelf, sources: Sequence[Source]) -> Push:
    """What differs at Stripe. Prices come first: then a product that names its project takes none along."""
    differences: list[Difference] = []
    faults: list[str] = []
    notes: list[str] = []
    same = 0
    named = [(source, target) for source in sources for target in source.declared.plans]
    for source, target in sorted(named, key=lambda one: (one[1].startswith("prod_"), one[1])):
        plan = source.declared.plans[target]
        wanted, said = _wanted(source, plan)
        notes += said
        held = (await shelf.retrieve(target)).object
        fault = _fault(source, target, wanted, held)
        if fault is not None:
            faults.append(f"{target}: {fault}")
            continue
        metadata = (held or {})["metadata"]
        after = {key: value for key, value in wanted.items() if metadata.get(key) != value}
        if after:
            differences.append(Difference(source, target, {key: metadata.get(key) for key in after}, after))
        else:
            same += 1
    differences += [one for source in sources for one in await _to_clean(shelf, source, notes)]
    return Push(differences, same, faults, notes)


async def write(shelf: Shelf, push: Push, written: Callable[[Difference], Awaitable[None]]) -> None:
    """Write it; `written` is told each one that is done. Cut off, the next push writes the rest."""
    for one in push.differences:
        await shelf.write_metadata(one.target, one.after)
        await written(one)


async def _to_clean(shelf: Shelf, source: Source, notes: list[str]) -> list[Difference]:
    """What an earlier push left where the catalogue speaks no more: what somebody else wrote since stays.

    Whose a price is stays too: what was bought by it must not become nobody's.
    """
    found = []
    for target, words in sorted(source.left.items()):
        held = (await shelf.retrieve(target)).object or {}
        now = held.get("metadata", {}).get(stripe_metadata.FEATURES_KEY)
        if now == words:
            key = stripe_metadata.FEATURES_KEY
            found.append(Difference(source, target, {key: now}, {key: None}))
        elif now is not None:
            notes.append(f"{target}: is in no catalogue any more; its feature_codes were edited at Stripe and stay")
    return found


def _wanted(source: Source, plan: Plan) -> tuple[dict[str, str], list[str]]:
    features = {code: one.feature for code, one in source.declared.features.items()}
    words, left_out = stripe_metadata.write(plan, features)
    notes = [
        f"{plan.target}: `{code}` is a configuration, which metadata cannot hold: it stays in catalog.yaml"
        for code in left_out
    ]
    return {_PROJECT_KEY: source.project, stripe_metadata.FEATURES_KEY: words}, notes


def _fault(source: Source, target: str, wanted: Mapping[str, str], held: Mapping[str, Any] | None) -> str | None:
    if held is None:
        return "Stripe has none of that id: is STRIPE_SECRET_KEY of the right account and mode?"
    if held.get("deleted"):
        return "it was deleted at Stripe: take it out of the catalogue"
    named = held["metadata"].get(_PROJECT_KEY)
    if named and named != source.project:
        return f"its metadata says project_id {named}, which counts more than the catalogue of {source.project}"
    if source.strangers.get(target):
        listed = ", ".join(source.strangers[target])
        return f"its prices {listed} are another project's and would move: set their project_id at Stripe first"
    return _beyond(wanted, held["metadata"])


def _beyond(wanted: Mapping[str, str], metadata: Mapping[str, str]) -> str | None:
    for key, value in wanted.items():
        if len(value) > MOST_CHARACTERS:
            return (
                f"{key} would have {len(value)} characters, Stripe keeps {MOST_CHARACTERS}: it fits catalog.yaml only"
            )
    if len(metadata.keys() | wanted.keys()) > MOST_KEYS:
        return f"it has {len(metadata)} metadata keys already, and Stripe keeps {MOST_KEYS}"
    return None


_STRANGERS: Final = text("""
SELECT c.id, c.product_id FROM prices c
WHERE c.product_id = ANY(CAST(:products AS text[])) AND c.project_id <> :project_id
    AND coalesce(c.metadata->>'project_id', '') = '' AND c.id <> ALL(CAST(:pushed AS text[]))
ORDER BY c.id
""")

_LEFT: Final = text("""
SELECT subject, words FROM (
    SELECT DISTINCT ON (subject) subject, after->>'feature_codes' AS words FROM audit_log
    WHERE project_id = :project_id AND action = 'catalog.push' AND jsonb_exists(after, 'feature_codes')
    ORDER BY subject, id DESC) pushed
WHERE words IS NOT NULL
    AND NOT EXISTS (SELECT FROM plans p WHERE p.target = pushed.subject AND p.origin = 'catalog')
ORDER BY subject
""")
