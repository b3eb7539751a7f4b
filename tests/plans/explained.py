"""How Postgres would run a statement: a plan that is made once and good for all parameters, as the driver's are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from tests.plans.statements import Found

_TAKE_ALL: Final = ("Sort", "Aggregate", "Hash", "WindowAgg", "SetOp", "Materialize", "ModifyTable")
"""What takes all that is below before it gives its first row: no limit above it saves anything."""
_INDEXED: Final = ("Index Scan", "Index Only Scan", "Bitmap Index Scan")


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one statement."""

    found: Found
    tree: Any
    took: float | None = None
    """Milliseconds, where it was carried out."""

    @property
    def scanned(self) -> set[str]:
        """Tables that are read from end to end."""
        return {node["Relation Name"] for node in _nodes(self.tree) if node["Node Type"] == "Seq Scan"}

    @property
    def indexes(self) -> set[str]:
        """Indexes by which rows are found."""
        return {node["Index Name"] for node in _nodes(self.tree) if node["Node Type"] in _INDEXED}

    @property
    def unbounded(self) -> dict[str, str]:
        """Indexes that are read from end to end, and whose they are: no condition, and nobody stops it."""
        return {
            node["Index Name"]: node.get("Relation Name", "")
            for node in _nodes(self.tree)
            if node["Node Type"] in _INDEXED and "Index Cond" not in node and not node["limited"]
        }

    @property
    def rows(self) -> float:
        """How many rows it is taken to read at the most in one place."""
        reading = (node for node in _nodes(self.tree) if "Relation Name" in node and not node["limited"])
        return max((node["Plan Rows"] for node in reading), default=0)


def explain(
    connection: psycopg.Connection[Any],
    found: Found,
    asked: Mapping[str, object] | None = None,
    *,
    analyze: bool = False,
) -> Plan | None:
    """Its plan, with what is `asked` for or, without that, the generic one; None for what is no query, as a lock is.

    `analyze`: it is carried out.
    """
    connection.prepare_threshold = None  # the only prepared statement is ours
    connection.execute("DEALLOCATE ALL")
    try:
        connection.execute(f"PREPARE asked AS {found.sql}".encode())
    except psycopg.errors.SyntaxError:
        return None
    connection.execute(f"SET plan_cache_mode = force_{'generic' if asked is None else 'custom'}_plan".encode())
    given = [sql.Literal((asked or {}).get(name)) for name in found.parameters]
    values = sql.SQL("({})").format(sql.SQL(", ").join(given)) if given else sql.SQL("")
    options = sql.SQL("EXPLAIN (FORMAT JSON, ANALYZE)" if analyze else "EXPLAIN (FORMAT JSON)")
    row = connection.execute(sql.SQL("{} EXECUTE asked{}").format(options, values)).fetchone()
    assert row is not None
    (top,) = row[0]
    return Plan(found, top.get("Plan"), top.get("Execution Time"))


def _nodes(node: Any, *, limited: bool = False) -> Iterator[Any]:
    if not node:
        return
    limited = node["Node Type"] == "Limit" or (limited and node["Node Type"] not in _TAKE_ALL)
    yield {**node, "limited": limited}
    for child in node.get("Plans", ()):
        yield from _nodes(child, limited=limited)
