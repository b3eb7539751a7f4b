"""The two imports of the operations guide work as written there."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from billing_service.database import SessionLocal, check_db_connection
from billing_service.entitlements import recompute_and_store_entitlements
from tests.support.operating import ACTOR, Operating, operating_side

ROOT = Path(__file__).resolve().parents[3]


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one line in a fresh interpreter, as the guide does."""
    clean = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={**clean, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )


CHECK = "from billing_service.database import check_db_connection; print(check_db_connection())"


def test_the_guides_line_prints_true(database_url: str) -> None:
    """With a database that answers."""
    done = python(CHECK, DATABASE_URL=database_url)
    assert (done.returncode, done.stdout) == (0, "True\n")


@pytest.mark.parametrize("url", ["postgresql://billing_user:hunter2@127.0.0.1:1/none", "mysql://u:hunter2@h/d", ""])
def test_the_guides_line_prints_false_and_says_why(url: str) -> None:
    """Without one, or with a wrong URL: False, a reason, no password, no trace."""
    done = python(CHECK, DATABASE_URL=url)
    assert (done.returncode, done.stdout) == (0, "False\n")
    assert "DATABASE_URL" in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_importing_reads_and_opens_nothing() -> None:
    """Also without any setting, the imports work."""
    assert python("import billing_service.database, billing_service.entitlements").returncode == 0


async def _prepare(side: Operating) -> None:
    await side.project()
    await side.call("PUT", "/api/v1/admin/projects/shop/catalog", {"features": {"pro": {}}})
    order = {"project_id": "shop", "user_id": "user_123", "feature": "pro", "reason": "x"}
    assert (await side.call("POST", "/api/v1/admin/grant", order))[0] == 201
    await side.rows("UPDATE manual_grants SET revoked_at = now(), revoked_by = 'sql' RETURNING 1")


def test_recompute_works_from_a_plain_prompt(database_url: str) -> None:
    """As the guide writes it, in a real process: the document comes back repaired and is committed."""

    async def prepare() -> None:
        async with operating_side(database_url) as side:
            await _prepare(side)

    asyncio.run(prepare())
    code = (
        "from billing_service.database import SessionLocal\n"
        "from billing_service.entitlements import recompute_and_store_entitlements\n"
        "db = SessionLocal()\n"
        "document = recompute_and_store_entitlements(db, 'user_123', 'shop')\n"
        "print(document['user_id'], document['revision'], document['entitlements'])\n"
        "db.close()"
    )
    done = python(code, DATABASE_URL=database_url)
    assert (done.returncode, done.stdout) == (0, "user_123 4 []\n"), done.stderr


async def test_recompute_works_where_a_loop_already_runs(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook's thread, by public and by internal id, and again without a new revision."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    async with operating_side(database_url) as side:
        await _prepare(side)
        with SessionLocal() as db:
            found: list[dict[str, Any]] = [
                recompute_and_store_entitlements(db, "user_123", name) for name in ("shop", "1", 1)
            ]
            assert found == [found[0]] * 3
            assert (found[0]["revision"], found[0]["entitlements"]) == (4, [])
            unknown = recompute_and_store_entitlements(db, "nobody", "shop")
            assert (unknown["revision"], unknown["entitlements"]) == (4, [])
            with pytest.raises(ValueError, match="no project none"):
                recompute_and_store_entitlements(db, "user_123", "none")
            with pytest.raises(ValueError, match="no project with the internal id"):
                recompute_and_store_entitlements(db, "user_123", 10**30)
            with pytest.raises(ValueError, match="control character"):
                recompute_and_store_entitlements(db, "a\nb", "shop")
            db.get_bind().engine.dispose()
        assert await side.rows("SELECT count(*) FROM users") == [(1,)]
    assert check_db_connection()
    assert ACTOR.name == "test"
