"""The queries of docs/database.md are carried out: what is told to operators works on the schema as it is."""

import re
from pathlib import Path

import psycopg
import pytest

from sandbox.postgres import PostgresServer

PAGE = Path(__file__).resolve().parents[3] / "docs" / "database.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_there_are_queries() -> None:
    """A page whose form has changed would leave nothing to try."""
    assert len(QUERIES) >= 9


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: " ".join(query.split())[:40])
def test_a_query_is_carried_out(database_url: str, shared_postgres: PostgresServer, query: str) -> None:
    """By a superuser, who sees everything, and by the service's own role."""
    names = database_url.rpartition("/")[2]
    for url in (database_url, f"{shared_postgres.superuser_url.rpartition('/')[0]}/{names}"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(query.encode())


def test_settings_that_are_named_are_postgress_own(shared_postgres: PostgresServer) -> None:
    """Lines of postgresql.conf name what there is."""
    named = re.findall(r"^([a-z_]+) = ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert named
    with psycopg.connect(shared_postgres.superuser_url) as connection:
        known = {str(name) for (name,) in connection.execute("SELECT name FROM pg_settings").fetchall()}
    assert set(named) <= known
