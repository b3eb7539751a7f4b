"""Skips in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SKIPPING = {
    "one test": "import pytest\ndef test_one(): pytest.skip('why')\ndef test_two(): pass\n",
    "a module": "import pytest\npytest.skip('why', allow_module_level=True)\n",
}


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("what", SKIPPING)
def test_skip_fails_the_run_in_ci_only(what: str, workers: str, tmp_path: Path) -> None:
    """A run with a skip is a failed one where CI is set, with and without workers, and names the test."""
    (tmp_path / "test_skipping.py").write_text(SKIPPING[what], encoding="utf-8")
    (tmp_path / "test_passing.py").write_text("def test_three(): pass\n", encoding="utf-8")
    at_home, in_ci = _run(tmp_path, workers), _run(tmp_path, workers, CI="true")
    assert (at_home.returncode, in_ci.returncode) == (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    assert "skipped tests fail in CI" in in_ci.stdout


def _run(directory: Path, workers: str, **env: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    plugins = ("-p", "tests.support.skips", "-p", "no:cacheprovider", "-p", "no:valkey")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-n", workers, "--rootdir", str(directory), str(directory)],
        cwd=ROOT,
        env={**plain, **env},
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
