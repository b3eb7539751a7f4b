"""The way from a fresh clone to a working environment."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

BROKEN_SHIM = "echo 'shim: command not found' >&2; exit 127"
WHOLE = 'case "$*" in *setup_environment*) echo "chosen: $0 $*" ;; esac'
WITHOUT_ENSUREPIP = 'case "$*" in *ensurepip*) exit 1 ;; *print*) echo 3.12 ;; esac'


def _set_up(path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "sandbox/setup.sh", ".venv"],
        cwd=ROOT,
        env={"PATH": str(path), **env},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )


def _fake(directory: Path, name: str, script: str) -> Path:
    program = directory / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def test_python_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    """A version manager's shim is on PATH but only prints an error: the next candidate is taken."""
    _fake(tmp_path, "python3.13", BROKEN_SHIM)
    whole = _fake(tmp_path, "python3.12", WHOLE)
    done = _set_up(tmp_path)
    assert done.stdout == f"chosen: {whole} -I sandbox/setup_environment.py .venv\n"
    assert done.stderr == ""


def test_named_python_is_the_only_candidate(tmp_path: Path) -> None:
    """PYTHON decides, also over newer ones on PATH."""
    _fake(tmp_path, "python3.14", WHOLE)
    named = _fake(tmp_path, "mine", WHOLE)
    assert f"chosen: {named} " in _set_up(tmp_path, PYTHON=str(named)).stdout


@pytest.mark.parametrize(
    ("programs", "env", "message"),
    [
        ({}, {}, "found no Python 3.11 or newer on PATH"),
        ({"python3.12": WITHOUT_ENSUREPIP}, {}, "apt-get install python3.12-venv"),
        ({"python3": WHOLE}, {"PYTHON": "/nowhere/python"}, "PYTHON=/nowhere/python is no Python 3.11"),
    ],
)
def test_missing_python_names_the_way_out(
    programs: dict[str, str], env: dict[str, str], message: str, tmp_path: Path
) -> None:
    """Without a fitting Python the one error line says what to install or name."""
    for name, script in programs.items():
        _fake(tmp_path, name, script)
    done = _set_up(tmp_path, **env)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "PYTHON=" in done.stderr


def test_make_alone_lists_every_target() -> None:
    """Each target that a person may ask for is listed with a word on what it does."""
    done = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=30, env=_plain_env())
    listed = set(re.findall(r"^  make (\S+) +\S", done.stdout, re.MULTILINE))
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    assert listed == set(" ".join(phony).split())


def _plain_env() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
