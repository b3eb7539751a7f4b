"""Findings: what a run met, counted for certain, and kept with details as far as a report needs them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, from_datetime
from writer.reconcile.runs import RunId

MOST_KEPT: Final = 1_000
"""Of a kind in a run; beyond it they are only counted."""


class FindingKind(StrEnum):
    """The values are `reconcile_findings.finding` and the names of the run's counts."""

    REPAIRED = "repaired"
    UNKNOWN_IN_STRIPE = "unknown_in_stripe"
    UNKNOWN_HERE = "unknown_here"
    UNASSIGNED = "unassigned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one object, or about one list by its name."""

    kind: FindingKind
    object_id: str
    detail: Mapping[str, Any]
    """`{field: [before, after]}`, or `{"reason"}`: no secret, and nobody's data but ids."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A finding as it was kept."""

    finding: Finding
    found_at: Instant


async def record(connection: AsyncConnection, run_id: RunId, finding: Finding) -> bool:
    """Count and keep a finding; False where the run had it already (a page that is done once more)."""
    parameters = {
        "run_id": run_id,
        "object_id": finding.object_id,
        "finding": finding.kind.value,
        "detail": orjson.dumps(finding.detail).decode() if finding.detail else None,
        "most": MOST_KEPT,
    }
    return (await connection.execute(_RECORD[finding.kind], parameters)).rowcount > 0


async def of_run(
    connection: AsyncConnection, run_id: RunId, most: int, kind: FindingKind | None = None
) -> Sequence[Kept]:
    """The findings that were kept, kind by kind, at most so many of each."""
    parameters = {"run_id": run_id, "most": most, "finding": None if kind is None else kind.value}
    rows = await connection.execute(_OF_RUN, parameters)
    return [
        Kept(Finding(FindingKind(row.finding), row.object_id, row.detail or {}), from_datetime(row.found_at))
        for row in rows
    ]


async def unassigned(connection: AsyncConnection, run_id: RunId) -> None:
    """Count and keep what is ours and nobody's just now; of subscriptions those that are not over."""
    await connection.execute(_UNASSIGNED, {"run_id": run_id, "most": MOST_KEPT})


def _statement(kind: FindingKind) -> str:
    # The count is the run's own column, so that a report needs no counting. What was kept before is not counted again.
    return f"""
WITH kept AS (
    INSERT INTO reconcile_findings (run_id, object_id, finding, detail)
    SELECT :run_id, :object_id, :finding, CAST(CAST(:detail AS text) AS jsonb)
    WHERE (SELECT {kind.value} FROM reconcile_runs WHERE id = :run_id) < :most
    ON CONFLICT (run_id, object_id, finding) DO NOTHING
    RETURNING 1
)
UPDATE reconcile_runs SET {kind.value} = {kind.value} + 1
WHERE id = :run_id AND (EXISTS (SELECT FROM kept) OR {kind.value} >= :most)
"""  # noqa: S608 - a constant of ours


_RECORD: Final = {kind: text(_statement(kind)) for kind in FindingKind}

_OF_RUN: Final = text("""
SELECT finding, object_id, detail, found_at FROM (
    SELECT *, row_number() OVER (PARTITION BY finding ORDER BY found_at, object_id) AS place FROM reconcile_findings
    WHERE run_id = :run_id AND (CAST(:finding AS text) IS NULL OR finding = CAST(:finding AS text))) f
WHERE place <= :most ORDER BY finding, place
""")

_UNASSIGNED: Final = text("""
WITH found AS (
    SELECT id, unassigned_reason FROM subscriptions
    WHERE unassigned_reason IS NOT NULL AND status NOT IN ('canceled', 'incomplete_expired')
    UNION ALL SELECT id, unassigned_reason FROM purchases WHERE unassigned_reason IS NOT NULL
), kept AS (
    INSERT INTO reconcile_findings (run_id, object_id, finding, detail)
    SELECT :run_id, id, 'unassigned', jsonb_build_object('reason', unassigned_reason) FROM found ORDER BY id LIMIT :most
    ON CONFLICT (run_id, object_id, finding) DO NOTHING
)
UPDATE reconcile_runs SET unassigned = (SELECT count(*) FROM found) WHERE id = :run_id
""")
