"""A shop in a database of its own, and the commands that back it up and restore it."""

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from sandbox.binaries import find_postgres
from sandbox.postgres import PostgresServer
from tests.support.postgres import create_database, drop_database
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
SHOP = "shop_template"
_numbers = itertools.count(1)


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


@pytest.fixture(scope="session")
def shop_database(
    shared_postgres: PostgresServer, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The name of a database with a shop in which somebody holds something, to copy from."""
    create_database(shared_postgres, SHOP, template=template_database)
    folder = tmp_path_factory.mktemp("shop")
    keeper = Keeper(shared_postgres.url_of(SHOP), folder)
    keeper.json("project", "create", "shop")
    catalog = folder / "catalog.yaml"
    catalog.write_text(CATALOG, encoding="utf-8")
    keeper.json("catalog", "apply", catalog, "--yes")
    keeper.grant("ada")
    keeper.grant("ben", "seats", value="5")
    return SHOP


@pytest.fixture
def keeper(shared_postgres: PostgresServer, shop_database: str, tmp_path: Path) -> Iterator[Keeper]:
    """On a database of its own with the shop."""
    name = f"shop_{next(_numbers)}"
    create_database(shared_postgres, name, template=shop_database)
    url = shared_postgres.url_of(name)
    yield Keeper(url, tmp_path / "backups")
    with psycopg.connect(shared_postgres.url, autocommit=True) as connection:
        there = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None
    if there:
        drop_database(shared_postgres, name)


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
