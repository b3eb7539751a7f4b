"""What `billing` asks before it acts, on a terminal and without one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from tests.support.stripe_standin import KEY, SECRET
from writer.cli import main

ROOT = Path(__file__).resolve().parents[3]
CATALOG = "{version: 1, projects: {shop: {features: {pro: {}}}}}"
DONE = "SELECT count(*) FROM audit_log WHERE action NOT IN ('project.create', 'key.create', 'grant.create')"


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    """A project with a key."""
    environment = {"DATABASE_URL": database_url, "STRIPE_SECRET_KEY": KEY, "STRIPE_WEBHOOK_SECRET": SECRET}
    for words in (("project", "create", "shop"), ("key", "create", "shop", "web")):
        assert CliRunner().invoke(main, words, env=environment).exit_code == 0
    return environment


def acts(database_url: str) -> int:
    """How much was done since."""
    with psycopg.connect(database_url) as connection:
        (row,) = connection.execute(DONE).fetchall()
    return int(row[0])


@pytest.mark.parametrize(
    "words",
    [
        ("catalog", "apply", "-"),
        ("catalog", "apply", "-", "--json"),
        ("key", "revoke", "shop", "1"),
        ("revoke", "ann", "shop", "pro", "--reason", "over"),
        ("import",),
        ("import", "--json"),
    ],
)
def test_without_a_terminal_nothing_is_done_unasked(
    environment: dict[str, str], database_url: str, words: tuple[str, ...]
) -> None:
    """Status 2, and the option that is missing; a program that wants JSON has to say so too."""
    before = acts(database_url)
    refused = CliRunner().invoke(main, words, env=environment, input=CATALOG)
    assert (refused.exit_code, "--yes" in refused.stderr) == (2, True), refused.output
    assert acts(database_url) == before


def on_a_terminal(environment: dict[str, str], answer: str, *words: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr where stdin is a terminal with somebody who answers."""
    ours, theirs = os.openpty()
    argv = [sys.executable, "-c", "from writer.cli import main; main()", *words]
    with open(ours, "wb", buffering=0) as keyboard, open(theirs, "rb", buffering=0) as terminal:  # noqa: PTH123 - no path
        keyboard.write(f"{answer}\n".encode())
        done = subprocess.run(
            argv, cwd=ROOT, env={**os.environ, **environment}, stdin=terminal, capture_output=True, text=True,
            check=False, timeout=50,
        )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_on_a_terminal_a_no_is_a_no(environment: dict[str, str], database_url: str) -> None:
    """Nothing is done before a yes; the question does not stand in the JSON."""
    words = ("key", "revoke", "shop", "1", "--json")
    before = acts(database_url)
    status, out, err = on_a_terminal(environment, "n", *words)
    assert (status, out, "End key 1 of shop?" in err) == (1, "", True)
    assert ("of the app web: never used" in err, "web keeps: no other key" in err) == (True, True)
    assert acts(database_url) == before
    status, out, err = on_a_terminal(environment, "y", *words)
    assert (status, json.loads(out)["id"], "End key 1 of shop?" in err) == (0, 1, True)


def test_on_a_terminal_the_effect_is_shown_first(environment: dict[str, str], database_url: str) -> None:
    """What would change, by feature or by number of users; a no does nothing; without a terminal nobody is asked."""
    assert CliRunner().invoke(main, ["catalog", "apply", "-", "--yes"], env=environment, input=CATALOG).exit_code == 0
    before, granted = acts(database_url), ("grant", "ann", "shop", "pro", "--reason", "a friend")
    status, _, err = on_a_terminal(environment, "n", *granted)
    assert (status, "Grant pro to ann in shop?" in err) == (1, True)
    assert [line.split()[-1] for line in err.splitlines() if line.startswith("pro ")] == ["gain"]
    assert CliRunner().invoke(main, granted, env=environment).exit_code == 0
    status, _, err = on_a_terminal(environment, "n", "revoke", "ann", "shop", "pro", "--reason", "over")
    assert [line.split()[-1] for line in err.splitlines() if line.startswith("pro ")] == ["lose"]
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO manual_grants (user_ref, feature_code, valid_from, reason, actor)"
            " SELECT id, 'pro', '2026-01-01Z', 'behind our back', 'x' FROM users"
        )
    status, _, err = on_a_terminal(environment, "n", "recompute", "--project", "shop")
    assert (status, "shop: 1 of 1 users would hold something else" in err) == (1, True)
    assert acts(database_url) == before
