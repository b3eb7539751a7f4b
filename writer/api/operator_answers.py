"""What the operators' routes answer about claims, runs, sidecars, users and the audit log, as the document has it."""

from typing import Any

from msgspec import Struct

from writer.api.answers import Money, Next, Time, Token


class UnassignedObject(Struct):
    """What is ours by price and nobody's."""

    id: str
    customer_id: str | None
    reason: str
    mend: str
    status: str
    products: list[str]
    projects: list[str]
    amount: Money | None
    currency: str | None
    since: Time


class UnassignedAnswer(Struct):
    """Those that wait longest first."""

    unassigned: list[UnassignedObject]
    next: Next


class ClaimedAnswer(Struct):
    """What a claim came to. `tokens` by project."""

    object_id: str
    user_id: str
    before: str | None
    projects: list[str]
    assigned: list[str]
    left: list[str]
    changed: bool
    tokens: dict[str, Token]


class RunAnswer(Struct):
    """A reconcile run."""

    run_id: int
    kind: str
    cause: str
    full: bool
    since: Time | None
    state: str
    stage: str
    stages_done: int
    stages: int
    checked: int
    repaired: int
    unknown_in_stripe: int
    unknown_here: int
    unassigned: int
    failed: int
    attempts: int
    last_error: str | None
    created_at: Time
    finished_at: Time | None


class RunsAnswer(Struct):
    """Runs, the newest first."""

    runs: list[RunAnswer]
    next: Next


class RunFinding(Struct):
    """One object that a run found to differ."""

    finding: str
    object_id: str
    detail: Any
    found_at: Time


class ReportAnswer(RunAnswer):
    """A run with its findings."""

    findings: list[RunFinding] = []


class RelayAnswer(Struct):
    """Which writer tells Redis of a project's changes, and how far that is."""

    state: str
    owner: str | None
    until: Time | None
    epoch: int
    revision: int
    behind: int | None
    words: str
    mend: str | None


class SidecarsAnswer(Struct):
    """Who relays a project, and the sidecars that follow it, by their own word."""

    project_id: str
    epoch: int
    revision: int
    relay: RelayAnswer
    sidecars: list[dict[str, Any]]
    next: Next
