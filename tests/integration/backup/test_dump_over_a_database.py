"""The guide's `psql … < backup.sql` over a database that is not empty: its errors are many, and its harm is mended."""

import asyncio
import logging
import subprocess
from pathlib import Path

import pytest

from tests.integration.backup.conftest import PROGRAMS, Keeper
from tests.support.ledger import open_engine
from writer import sequences


def _dump(keeper: Keeper, folder: Path) -> Path:
    file = folder / "backup.sql"
    subprocess.run([PROGRAMS / "pg_dump", "--file", file, keeper.url], check=True, timeout=30)
    return file


def _load(keeper: Keeper, file: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [str(PROGRAMS / "psql"), "--quiet", *options, keeper.url]
    with file.open("rb") as dump:
        return subprocess.run(command, stdin=dump, check=False, capture_output=True, text=True, timeout=30)


def _sequences(keeper: Keeper) -> list[str]:
    engine = open_engine(keeper.url)

    async def forward() -> list[str]:
        try:
            return await sequences.set_forward(engine)
        finally:
            await engine.dispose()

    return asyncio.run(forward())


def test_a_dump_over_a_full_database_sets_sequences_back(
    keeper: Keeper, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After each error psql goes on: rows stay, and keys would be given twice. A writer's start mends that."""
    file = _dump(keeper, tmp_path)
    keeper.grant("late")
    before = keeper.ask("SELECT user_ref, feature_code FROM manual_grants ORDER BY id")
    head = keeper.head()
    loaded = _load(keeper, file)
    assert loaded.returncode == 0
    assert 'relation "users" already exists' in loaded.stderr
    assert 'duplicate key value violates unique constraint "pk_users"' in loaded.stderr
    assert keeper.ask("SELECT user_ref, feature_code FROM manual_grants ORDER BY id") == before
    assert keeper.head() == head
    assert keeper.run("grant", "later", "shop", "pro", "--reason", "x").exit_code == 1
    with caplog.at_level(logging.ERROR):
        assert "manual_grants" in _sequences(keeper)
    assert "a dump was loaded over this database" in caplog.text
    keeper.grant("later")
    assert keeper.head() == (head[0], head[1] + 1)
    assert _sequences(keeper) == []


def test_in_one_transaction_nothing_happens(keeper: Keeper, tmp_path: Path) -> None:
    """With -1 and ON_ERROR_STOP, as the guide's form should be used, the first error takes back everything."""
    file = _dump(keeper, tmp_path)
    keeper.grant("late")
    loaded = _load(keeper, file, "-1", "--set", "ON_ERROR_STOP=1")
    assert loaded.returncode == 3
    assert _sequences(keeper) == []
    keeper.grant("later")
