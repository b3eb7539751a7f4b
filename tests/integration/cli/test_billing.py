"""The `billing` command: the same operations, with words and exit status for people and programs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from writer.cli import main

CATALOG = """
version: 1
projects:
  shop:
    features:
      pro: {name: Pro}
      seats: {kind: limit}
    plans:
      price_1: {features: {pro: true, seats: 5}}
"""


class Billing:
    """Runs commands on one database."""

    def __init__(self, url: str) -> None:
        self._environment = {"DATABASE_URL": url, "ENTITLEMENT_GRACE": "1h"}

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """The result, whatever it is."""
        return CliRunner().invoke(main, list(arguments), env=self._environment, input=stdin)

    def json(self, *arguments: str, stdin: str | None = None) -> Any:
        """The answer of a command that must work."""
        result = self.run(*arguments, "--json", stdin=stdin)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def billing(database_url: str) -> Billing:
    """On a migrated, empty database."""
    return Billing(database_url)


@pytest.fixture
def shop(billing: Billing) -> Billing:
    """The same, with a project and its catalogue."""
    billing.json("project", "create", "shop")
    billing.json("catalog", "apply", "-", "--yes", stdin=CATALOG)
    return billing


def test_a_project_its_keys_and_its_catalogue(billing: Billing) -> None:
    """Create, list, show; a key comes alone on stdout so that it can be piped; rotate and revoke it."""
    made = billing.run("project", "create", "shop", "--name", "Shop", "--return-host", "localhost:3000")
    assert (made.exit_code, "billing key create shop" in made.stdout) == (0, True)
    assert [one["project_id"] for one in billing.json("project", "list")] == ["shop"]
    assert billing.json("project", "show", "shop")["return_hosts"] == ["localhost:3000"]
    assert "localhost:3000" in billing.run("project", "show", "shop").stdout
    key = billing.run("key", "create", "shop", "web")
    assert key.stdout.strip().startswith("bk_")
    assert len(key.stdout.strip().splitlines()) == 1
    assert "not shown again" in key.stderr
    rotated = billing.json("key", "rotate", "shop", "1")
    assert billing.run("key", "revoke", "shop", "1", "--reason", "old", "--yes").exit_code == 0
    listed = billing.json("key", "list", "shop")
    assert [one["revoked_at"] is None for one in listed] == [False, True]
    assert rotated["key"] not in billing.run("key", "list", "shop").stdout


def test_a_project_is_changed(shop: Billing, database_url: str) -> None:
    """What is named changes, the rest stays; hosts are replaced as a whole, and the audit log tells who did it."""
    hosts = ("--return-host", "a.example.com", "--return-host", "b.example.com")
    changed = shop.json("project", "update", "shop", "--name", "The shop", *hosts)
    assert (changed["name"], changed["return_hosts"]) == ("The shop", ["a.example.com", "b.example.com"])
    changed = shop.json("project", "update", "shop", "--portal-configuration", "bpc_1")
    assert (changed["name"], changed["portal_configuration"]) == ("The shop", "bpc_1")
    changed = shop.json("project", "update", "shop", "--portal-configuration", "", "--no-return-hosts")
    assert (changed["portal_configuration"], changed["return_hosts"]) == (None, [])
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT actor FROM audit_log WHERE action = 'project.update'").fetchall()
    assert [actor.startswith("cli:") for (actor,) in rows] == [True] * 3


def test_grant_revoke_and_recompute(shop: Billing, database_url: str) -> None:
    """Each answers a position; the audit log names the person at the terminal."""
    granted = shop.json("grant", "ann", "shop", "seats", "--value", "5", "--reason", "contract")
    assert granted["changed"]
    assert shop.json("recompute", "ann", "shop") == {"changed": False, "token": granted["token"]}
    assert shop.json("revoke", "shop", "--grant", str(granted["grant_id"]), "--reason", "over", "--yes")["revoked"] == [
        1
    ]
    assert "nothing was done" in shop.run("revoke", "ann", "shop", "seats", "--reason", "again", "--yes").stdout
    assert shop.json("recompute", "--project", "shop")["job_id"] > 0
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT DISTINCT actor FROM audit_log WHERE actor LIKE 'cli:%'").fetchall()
    assert len(rows) == 1


def test_a_catalogue_is_planned_before_it_is_applied(billing: Billing, tmp_path: Path, database_url: str) -> None:
    """The plan names each effect and its users, keeps nothing; show gives the file back."""
    billing.json("project", "create", "shop")
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG, encoding="utf-8")
    plan = billing.json("catalog", "plan", str(file))["shop"]
    assert [one["feature"] for one in plan["features"]] == ["pro", "seats"]
    assert ("price_1", "seats", "added", None, "seats 5", 0) in [tuple(one.values())[:6] for one in plan["plans"]]
    assert billing.json("project", "show", "shop")["catalog_version"] == 1
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM audit_log WHERE actor = 'plan'").fetchall() == [(0,)]
    applied = billing.run("catalog", "apply", str(file), "--yes")
    assert (applied.exit_code, "in force: shop" in applied.stdout) == (0, True)
    assert "nothing would change" in billing.run("catalog", "plan", str(file)).stdout
    shown = billing.run("catalog", "show", "shop").stdout
    assert billing.json("catalog", "apply", "-", "--yes", stdin=shown) == {"shop": {"changed": False}}
    assert billing.json("catalog", "show", "shop")["version"] == 2


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("project", "create", "a b"), 1, "1 to 64 characters"),
        (("project", "create", "shop"), 1, "already"),
        (("project", "show", "none"), 1, "no project none"),
        (("project", "update", "shop"), 2, "nothing to change"),
        (("project", "update", "shop", "--portal-configuration", "x"), 1, "begins bpc_"),
        (("key", "create", "none", "web"), 1, "no project none"),
        (("key", "revoke", "shop", "9", "--yes"), 1, "no key with id 9"),
        (("key", "revoke", "shop", "x"), 2, "KEY_ID"),
        (("key", "create", "shop", "web", "--expires-at", "soon"), 2, "RFC 3339"),
        (("grant", "ann", "shop", "nope", "--reason", "x"), 1, "it has: pro, seats"),
        (("grant", "ann", "shop", "pro"), 2, "--reason"),
        (("grant", "ann", "shop", "seats", "--value", "many", "--reason", "x"), 1, "a limit is a whole number"),
        (("grant", "a\tb", "shop", "pro", "--reason", "x"), 2, "control character"),
        (("revoke", "shop", "--reason", "x"), 2, "USER PROJECT FEATURE"),
        (("revoke", "ann", "shop", "pro", "--reason", "x", "--yes"), 1, "no such manual grant"),
        (("recompute", "nobody", "shop"), 1, "no user nobody"),
        (("recompute", "nobody"), 2, "--project"),
        (("catalog", "apply", "/nowhere/catalog.yaml"), 2, "No such file"),
    ],
)
def test_what_is_refused_says_why(shop: Billing, arguments: tuple[str, ...], status: int, words: str) -> None:
    """1 where it is refused, 2 where the command is wrong; the reason stands on stderr, nothing on stdout."""
    result = shop.run(*arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_a_bad_file_is_refused_with_all_its_faults(billing: Billing) -> None:
    """Each fault on a line of its own, with its path."""
    result = billing.run("catalog", "plan", "-", stdin="version: 2\nprojekts: {}\n")
    assert result.exit_code == 1
    assert "version: must be 1" in result.stderr
    assert "did you mean projects?" in result.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "mysql://u:hunter2@h/d"}, "DATABASE_URL must be a URL"),
        ({"DATABASE_URL": "postgresql://u:p@h/d", "PAST_DUE_GRACE": "soon"}, "PAST_DUE_GRACE"),
    ],
)
def test_wrong_settings_end_with_two(environment: dict[str, str], words: str) -> None:
    """The variable and the reason, never its value."""
    result = CliRunner().invoke(main, ["project", "list"], env=environment)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "hunter2" not in result.output


def test_an_absent_database_is_told_in_words() -> None:
    """Exit status 1, no trace, no password."""
    url = "postgresql://billing_user:hunter2@127.0.0.1:1/none"
    result = CliRunner().invoke(main, ["project", "list"], env={"DATABASE_URL": url})
    assert (result.exit_code, "check DATABASE_URL" in result.stderr) == (1, True)
    assert "hunter2" not in result.output


def test_check_settings_names_every_fault() -> None:
    """All of the writer's settings at once."""
    result = CliRunner().invoke(main, ["check-settings"], env={"DATABASE_URL": "", "LOG_LEVEL": "loud"})
    assert result.exit_code == 2
    for name in ("DATABASE_URL", "LOG_LEVEL", "STRIPE_SECRET_KEY"):
        assert name in result.stderr


def test_migrate_brings_an_empty_database_up(empty_database_url: str) -> None:
    """--check fails before and passes after; a command before it says what to run. As a real process."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from writer.cli import main; main()", *arguments],
            env={"DATABASE_URL": empty_database_url, "PATH": "/usr/bin:/bin"},
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=50,
        )

    assert run("migrate", "--check").returncode == 1
    assert "billing migrate" in run("project", "list").stderr
    done = run("migrate")
    assert done.returncode == 0, done.stderr
    assert run("migrate", "--check").returncode == 0
    assert run("project", "list").returncode == 0
