"""What the plans of a million users must be, and which statements may read more, each with its reason."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from typing import Any, Final

import psycopg

from tests.plans import explained
from tests.plans.crowd import SMALL
from tests.plans.explained import Plan
from tests.plans.statements import Found, statements

USERS: Final = 1_000_000
LARGE: Final = 10_000
"""Rows from which on a table is not read from end to end."""
MOST: Final = 200_000
"""Rows that a plan may be taken to read in one place, where no statement is excepted: figures of a generic plan, which
knows no value and so takes an index's average, or a third of everything for a range."""

ONCE: Final = "once, when a project is made or a price becomes one's: everybody may be concerned"
SEARCH: Final = "an operator's search: every filter may be left out; see ASKED for what is asked for"
ERASURE: Final = "an erasure looks at everything in which a name may stand"
FIGURES: Final = "figures are made of everything that was sold; counted once a minute, or when asked for"
COMPARISON: Final = "a run that compares everything, in pages"
TAKEOVER: Final = "before a takeover, by hand"

WAITING: Final = frozenset(
    {
        "ix_purchases_unassigned", "ix_subscriptions_unassigned", "ix_reconcile_runs_open", "ix_recompute_jobs_open",
        "ix_webhook_events_parked", "ix_webhook_events_pending_object", "ix_webhook_events_due",
    }
)  # fmt: skip
"""Partial indexes that hold what waits, and nothing else."""

MAY_READ_MORE: Final[Mapping[str, str]] = {
    "writer.apply.misassigned.*": ONCE,
    "writer.catalogue.push._LEFT": "a push to Stripe by hand: what earlier ones wrote stands in the audit log",
    "writer.operations.audit_log._SEARCH": SEARCH,
    "writer.operations.erasure.*": ERASURE,
    "writer.operations.events.*REPLAYABLE": SEARCH,
    "writer.operations.figures.*": FIGURES,
    "writer.operations.granted._SEARCH": SEARCH,
    "writer.operations.received._LIST": SEARCH,
    "writer.operations.search.*": "an operator's search for something of Stripe's that no index leads to",
    "writer.operations.users._SEARCH": SEARCH,
    "writer.reconcile.unlisted.*": COMPARISON,
    "writer.takeover.*": TAKEOVER,
}
"""By name of the statement. One that is not needed any more is a fault, too."""

ASKED: Final[Mapping[str, Mapping[str, Any]]] = {
    "writer.operations.audit_log._SEARCH": {"subject": "user:user_000000000020", "limit": 50},
    "writer.operations.granted._SEARCH": {"user_id": "user_000000000020", "project_id": 1, "limit": 50},
}
"""Searches as they are mostly asked for: their plans are made with the values."""

FOR_PEOPLE: Final = (
    Found(
        "docs/database.md: a user's rows",
        "SELECT * FROM entitlements WHERE project_id = $1 AND user_id = $2",
        ("project_id", "user_id"),
    ),
)
"""What people ask with SQL, as the guide tells them to."""


def plans(connection: psycopg.Connection[Any]) -> list[Plan]:
    """How every statement of the writer would be run."""
    found = [*statements(), *FOR_PEOPLE]
    made = [explained.explain(connection, one) for one in found]
    return [plan for plan in made if plan is not None]


def excepted(plan: Plan) -> str | None:
    """The pattern by which a statement may read more."""
    return next((pattern for pattern in MAY_READ_MORE if fnmatch(plan.found.name, pattern)), None)


def faults(plan: Plan, large: Iterable[str]) -> list[str]:
    """What a plan reads more of than it should, whether it is excepted or not."""
    unbounded = {index for index, table in plan.unbounded.items() if table not in SMALL and index not in WAITING}
    wholes = sorted(plan.scanned & set(large)) + sorted(unbounded)
    found = [f"{plan.found.name} reads {one} from end to end" for one in wholes]
    if plan.rows > MOST:
        found.append(f"{plan.found.name} is taken to read {plan.rows:,.0f} rows")
    return found


def large_tables(connection: psycopg.Connection[Any]) -> set[str]:
    """Those that grow with users, and are large by now."""
    rows = connection.execute(
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND reltuples >= %s",
        (LARGE,),
    ).fetchall()
    return {str(name) for (name,) in rows} - SMALL


def used_indexes(connection: psycopg.Connection[Any], made: Iterable[Plan]) -> set[str]:
    """Indexes by which a statement finds rows: as planned, as asked for, or of small tables, if by any at all."""
    found = [*statements(), *FOR_PEOPLE]
    used = {index for plan in made for index in plan.indexes}
    for one in found:
        if one.name in ASKED:
            plan = explained.explain(connection, one, ASKED[one.name])
            used |= plan.indexes if plan is not None else set()
    connection.execute("SET enable_seqscan = off")
    try:
        for one in found:
            plan = explained.explain(connection, one)
            used |= plan.indexes if plan is not None else set()
    finally:
        connection.execute("RESET enable_seqscan")
    return used
