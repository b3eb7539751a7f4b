"""A shop in a database of its own, and the commands that back it up and restore it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from sandbox.binaries import find_postgres
from tests.support.waiting import until
from writer.cli import main

CATALOG = """
version: 1
projects:
  shop:
    features:
      pro: {name: Pro}
      seats: {kind: limit}
"""
ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = find_postgres().postgres.parent


@dataclass(slots=True)
class Keeper:
    """Runs commands on one database; `more` is added to their environment."""

    url: str
    folder: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        """What the commands are told."""
        return {"DATABASE_URL": self.url, "POSTGRES_BIN": str(PROGRAMS), **self.more}

    def run(self, *arguments: str | Path) -> Result:
        """The result, whatever it is."""
        return CliRunner().invoke(main, [str(one) for one in arguments], env=self.environment)

    def json(self, *arguments: str | Path) -> Any:
        """The answer of a command that must work."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def backup(self, *options: str) -> Path:
        """Make one; its dump."""
        return Path(self.json("backup", "--directory", self.folder, *options)["file"])

    def manifest(self, dump: Path) -> Any:
        """What stands beside it."""
        return json.loads(dump.with_suffix(".json").read_text(encoding="utf-8"))

    def grant(self, user: str, feature: str = "pro", **options: str) -> None:
        """Give somebody something."""
        given = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.json("grant", user, "shop", feature, "--reason", "a test", *given)

    def ask(self, query: str, url: str | None = None) -> list[Any]:
        """Rows of the database, or of another one."""
        with psycopg.connect(url or self.url, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def head(self, url: str | None = None) -> tuple[int, int]:
        """Where the shop stands."""
        ((epoch, revision),) = self.ask("SELECT epoch, revision FROM projects", url)
        return epoch, revision

    def start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """A command as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", "from writer.cli import main; main()", *map(str, arguments)],
            cwd=ROOT, env={**os.environ, **self.environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture
def keeper(database_url: str, tmp_path: Path) -> Keeper:
    """On a database with a shop in which somebody holds something."""
    keeper = Keeper(database_url, tmp_path / "backups")
    keeper.json("project", "create", "shop")
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG, encoding="utf-8")
    keeper.json("catalog", "apply", catalog, "--yes")
    keeper.grant("ada")
    keeper.grant("ben", "seats", value="5")
    return keeper


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until it holds, in a test that has no loop of its own: the commands that it runs bring theirs."""
    asyncio.run(until(condition, 40))


def instead_of(folder: Path, program: str, script: str) -> Path:
    """A folder of Postgres's programs in which one is a shell script; `$REAL` is the real one's path."""
    folder.mkdir(exist_ok=True)
    for name in ("pg_dump", "pg_restore", "psql"):
        place = folder / name
        place.unlink(missing_ok=True)
        if name != program:
            place.symlink_to(PROGRAMS / name)
            continue
        shell = shutil.which("sh")
        told = "" if "--version" in script else 'if [ "$1" = --version ]; then exec "$REAL" --version; fi\n'
        place.write_text(
            f"#!{shell}\nREAL={PROGRAMS / name}\n{told}{textwrap.dedent(script)}",
            encoding="utf-8",
        )
        place.chmod(0o755)
    return folder
