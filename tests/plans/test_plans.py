"""With a million users no statement that runs often reads a table from end to end, and every index is needed.

The rows are a two-hundredth of that; Postgres is told that there are more, and plans accordingly. `make plans` has all.
"""

from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest

from sandbox.postgres import PostgresServer
from tests.plans import crowd, judged
from tests.plans.explained import Plan, explain
from tests.plans.statements import statements
from tests.support.postgres import create_database, drop_database

_TIMES: Final = 200
_NAME: Final = "crowd"


@pytest.fixture(scope="module")
def connection(shared_postgres: PostgresServer, template_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A crowded database."""
    create_database(shared_postgres, _NAME, template=template_database)
    url = shared_postgres.superuser_url.rpartition("/")[0] + f"/{_NAME}"
    crowd.fill(url, judged.USERS // _TIMES)
    crowd.as_if(url, _TIMES)
    with psycopg.connect(url, autocommit=True) as connected:
        connected.execute("SET jit = off")
        yield connected
    drop_database(shared_postgres, _NAME)


@pytest.fixture(scope="module")
def plans(connection: psycopg.Connection[Any]) -> list[Plan]:
    """How every statement would be run there."""
    return judged.plans(connection)


def test_every_statement_is_looked_at(plans: list[Plan]) -> None:
    """Those of each station of the path, found in the code."""
    names = {plan.found.name for plan in plans}
    assert len(names) > 300
    assert {
        "writer.inbox._STORE", "writer.pending._CLAIM", "writer.pending._NEWEST", "writer.db.sources._SOURCES",
        "writer.outbox._APPEND_USERS", "writer.relay.backlog._PAGE", "writer.documents._HELD",
    } <= names  # fmt: skip


def test_no_large_table_is_read_from_end_to_end(plans: list[Plan], connection: psycopg.Connection[Any]) -> None:
    """Whatever runs with events, requests and changes finds its rows by an index, and few of them."""
    large = judged.large_tables(connection)
    assert {"users", "documents", "webhook_events", "entitlements", "subscriptions", "audit_log"} <= large
    found = [fault for plan in plans if judged.excepted(plan) is None for fault in judged.faults(plan, large)]
    assert found == []


def test_every_exception_is_needed(plans: list[Plan], connection: psycopg.Connection[Any]) -> None:
    """A statement that was mended leaves the list."""
    large = judged.large_tables(connection)
    needed = {judged.excepted(plan) for plan in plans if judged.faults(plan, large)}
    assert sorted(set(judged.MAY_READ_MORE) - needed) == []


@pytest.mark.parametrize("name", judged.ASKED)
def test_a_search_with_its_values_finds_rows_by_an_index(connection: psycopg.Connection[Any], name: str) -> None:
    """What an operator mostly asks for does not read everything."""
    (one,) = [found for found in statements() if found.name == name]
    plan = explain(connection, one, judged.ASKED[name])
    assert plan is not None
    assert judged.faults(plan, judged.large_tables(connection)) == []


def test_every_index_is_used_and_says_what_for(plans: list[Plan], connection: psycopg.Connection[Any]) -> None:
    """An index without a comment is nobody's; one that no statement uses costs each write for nothing."""
    rows = connection.execute("""
        SELECT c.relname, i.indisunique, obj_description(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisprimary ORDER BY 1
    """).fetchall()
    used = judged.used_indexes(connection, plans)
    assert len(rows) > 40
    assert [name for name, _, comment in rows if not comment] == []
    assert [name for name, unique, _ in rows if not unique and name not in used] == []


def test_a_missing_index_is_noticed(connection: psycopg.Connection[Any]) -> None:
    """The guard can fail: without the index of a user's items, computing a user reads all items."""
    with connection.transaction(force_rollback=True):
        connection.execute("DROP INDEX ix_subscription_items_user_ref")
        (one,) = [found for found in statements() if found.name == "writer.db.sources._SOURCES"]
        plan = explain(connection, one)
        assert plan is not None
        large = judged.large_tables(connection)
        assert any("subscription_items from end to end" in fault for fault in judged.faults(plan, large))
