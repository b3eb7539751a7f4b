"""deploy/compose/backup.sh: a backup a day, and again soon where one failed."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.contract.deploy.compose import ROOT

SCRIPT = ROOT / "deploy" / "compose" / "backup.sh"


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """Programs in place of `billing` and `sleep` note what they were told here; the third sleep ends the script."""
    noted = tmp_path / "noted"
    programs = {
        "billing": f'echo "billing $*" >>{noted}; [ "$(grep -c ^billing {noted})" -ne 2 ]',
        "sleep": f'echo "sleep $1" >>{noted}; [ "$(grep -c ^sleep {noted})" -lt 3 ] || kill $PPID',
    }
    for name, does in programs.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{does}\n", encoding="ascii")
        program.chmod(0o755)
    return noted


def run(said: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the script beside those programs."""
    environment = {"PATH": f"{said.parent}{os.pathsep}{os.environ['PATH']}", **more}
    return subprocess.run(["sh", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=30)


def test_a_day_follows_a_good_one_and_ten_minutes_a_bad_one(said: Path) -> None:
    """Thirty days are kept and each is verified; after a good one it waits until the hour."""
    assert run(said).returncode == 0, "told to end, it ends in order"
    order = "billing backup --directory /var/lib/billing-backups --keep-days 30 --verify"
    lines = said.read_text(encoding="ascii").splitlines()
    assert lines[::2] == [order] * 3
    waits = [int(line.removeprefix("sleep ")) for line in lines[1::2]]
    assert waits[1] == 600
    assert all(0 < wait <= 86_400 for wait in (waits[0], waits[2]))


def test_told_to_end_it_ends_what_it_waits_for(said: Path) -> None:
    """SIGTERM reaches the backup under way, and the script ends in order."""
    lines = ("#!/bin/sh", f"trap 'echo ended >>{said}; exit 1' TERM", "kill $PPID", "i=0")
    busy = "while [ $i -lt 3000000 ]; do i=$((i + 1)); done"
    (said.parent / "billing").write_text("\n".join((*lines, busy, "")), encoding="ascii")
    assert run(said).returncode == 0
    assert said.read_text(encoding="ascii") == "ended\n"


def test_hour_and_days_are_settings(said: Path) -> None:
    """BACKUP_KEEP_DAYS is handed on, and a BACKUP_AT that is no time ends it with what to write instead."""
    run(said, BACKUP_KEEP_DAYS="7", BACKUP_AT="23:30")
    assert "--keep-days 7" in said.read_text(encoding="ascii")
    done = run(said, BACKUP_AT="at night")
    assert (done.returncode, "such as 02:00" in done.stderr) == (2, True)
