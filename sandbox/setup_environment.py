"""Make the environment that everything runs in: locked dependencies, hashes checked, then the project itself.

Run by the Makefile, with nothing installed yet: standard library only.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

LOCK_FILE = Path("requirements.lock")
PINNED = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*==", re.MULTILINE)
PLAIN_INTERVAL_S = 5.0
TAIL_LINES = 25


class SetupError(Exception):
    """A step failed; the message says which and how to mend it."""


def main(argv: list[str]) -> int:
    """Make the environment in the directory named first; the exit status."""
    environment = Path(argv[1])
    started = time.monotonic()
    try:
        with LOCK_FILE.open("rb") as lock:
            _one_at_a_time(lock.fileno())
            make(environment)
    except SetupError as error:
        say(f"set-up: {error}", sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("set-up: interrupted; the next run starts it again", sys.stderr)
        return 130
    say(f"set-up: ready after {time.monotonic() - started:.0f} s")
    return 0


def make(environment: Path) -> None:
    """Create the environment unless a whole one is there, and install what is locked."""
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"set-up: Python {version} in {environment}, as {LOCK_FILE} has it (once; about half a minute)")
    uv = shutil.which("uv")
    unfinished = environment / ".unfinished"
    if unfinished.exists() or not _works(environment, with_pip=uv is None):
        _create(environment, uv)
    unfinished.touch()
    target = [uv, "pip", "install", "--python", str(environment / "bin" / "python")] if uv else _pip(environment)
    total = len(PINNED.findall(LOCK_FILE.read_text(encoding="utf-8")))
    log = environment / "install.log"
    log.write_bytes(b"")
    _run([*target, "--require-hashes", "-r", str(LOCK_FILE)], log, Progress(total))
    _run([*target, "--no-deps", "--no-build-isolation", "-e", "."], log, Progress(1))
    unfinished.unlink()


def _create(environment: Path, uv: str | None) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    if uv:
        command = [uv, "venv", "--quiet", "--python", sys.executable, str(environment)]
    else:
        command = [sys.executable, "-m", "venv", str(environment)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SetupError(
            f"{' '.join(command)} failed:\n{done.stdout}\n"
            "On Debian and Ubuntu python3-venv must be installed; another Python: make PYTHON=/path/to/python3"
        )


def _works(environment: Path, *, with_pip: bool) -> bool:
    check = "import sys; assert sys.version_info >= (3, 11)" + ("; import pip" if with_pip else "")
    try:
        done = subprocess.run(
            [str(environment / "bin" / "python"), "-I", "-c", check], check=False, capture_output=True
        )
    except OSError:
        return False
    return done.returncode == 0


def _pip(environment: Path) -> list[str]:
    pip = [str(environment / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    return [*pip, "install", "--progress-bar", "off"]


def _run(command: list[str], log: Path, progress: "Progress") -> None:
    with log.open("a", encoding="utf-8") as kept, _output(command) as child:
        for line in child.stdout or ():
            kept.write(line)
            progress.see(line)
    progress.end()
    if child.returncode:
        lines = log.read_text(encoding="utf-8").splitlines()
        telling = [line for line in lines if not line.startswith(("WARNING", "Collecting", "  Using cached"))]
        raise SetupError(
            "installing failed:\n  " + "\n  ".join(telling[-TAIL_LINES:]) + f"\nWhole log: {log}. "
            "Is the package index reachable? A proxy or mirror is taken from HTTPS_PROXY and PIP_INDEX_URL."
        )


def _output(command: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


class Progress:
    """One moving line in a terminal, else a line now and then."""

    STEPS = re.compile(r"^(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)")

    def __init__(self, total: int) -> None:
        self._total = total
        self._seen = 0
        self._terminal = sys.stdout.isatty()
        self._last = time.monotonic()

    def see(self, line: str) -> None:
        """Show what a line of the installer means."""
        if step := self.STEPS.match(line):
            self._seen = min(self._seen + 1, self._total)
            self._show(f"  {self._seen}/{self._total} {step[1]}")
        elif self._total > 1 and line.startswith("Installing collected packages"):
            self._show("  unpacking what was collected", always=True)

    def end(self) -> None:
        """Leave the moving line."""
        if self._terminal:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()

    def _show(self, text: str, *, always: bool = False) -> None:
        if self._terminal:
            sys.stdout.write(f"\r\x1b[K{text}")
            sys.stdout.flush()
        elif always or time.monotonic() - self._last >= PLAIN_INTERVAL_S:
            self._last = time.monotonic()
            say(text)


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line at once."""
    print(text, file=stream or sys.stdout, flush=True)


def _one_at_a_time(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("set-up: another make is setting up; waiting for it")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
