"""The project's own commands as a person runs them: real processes, real signals."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.support.waiting import is_alive, until

ROOT = Path(__file__).resolve().parents[2]
START_S = 50.0


class Command:
    """A module run as a program, its output kept in a file."""

    def __init__(self, output: Path, *arguments: str) -> None:
        self.output = output
        self._arguments = arguments
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Its process."""
        assert self._popen is not None
        return self._popen

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.output.read_text(encoding="utf-8")

    async def start(self, until_it_says: str) -> None:
        """Start it and wait until it has printed a text."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        command = (sys.executable, "-m", *self._arguments)
        with self.output.open("wb") as output:
            # Not asyncio's: its end is looked for, not waited for, also after SIGKILL.
            self._popen = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)  # noqa: ASYNC220
        await until(lambda: self.process.poll() is not None or until_it_says in self.text, START_S)
        assert until_it_says in self.text, self.text

    async def ended(self, timeout_s: float = 20.0) -> int:
        """Wait for its end; its return code."""
        await until(lambda: self.process.poll() is not None, timeout_s)
        return self.process.returncode

    async def end(self, number: signal.Signals) -> int:
        """Signal it and wait for its end; its return code."""
        self.process.send_signal(number)
        return await self.ended()

    async def close(self) -> None:
        """End it if it still runs."""
        if self._popen is not None and self._popen.poll() is None:
            await self.end(signal.SIGTERM)


class Up(Command):
    """A running `make up` with a directory of its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "output.txt", "sandbox.up", "--directory", str(directory))
        self.directory = directory

    @property
    def settings(self) -> dict[str, str]:
        """Its environment file as a shell reads it."""
        names = "set -a; . ./env; env -0"
        shown = subprocess.run(("sh", "-c", names), cwd=self.directory, env={}, capture_output=True, check=True).stdout
        return dict(line.split("=", 1) for line in shown.decode().split("\0") if line)

    async def come_up(self) -> None:
        """Start it and wait until it has handed everything out."""
        await self.start("Ctrl-C ends everything")


@asynccontextmanager
async def running_up(directory: Path) -> AsyncIterator[Up]:
    """`make up` until left."""
    up = Up(directory)
    try:
        await up.come_up()
        yield up
    finally:
        await up.close()


def family(pid: int) -> set[int]:
    """The process and everything that it started, directly or not."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                stat = (entry / "stat").read_text(encoding="utf-8")
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found and child not in found}:
        found |= more
    return found


async def until_gone(pids: set[int]) -> None:
    """Wait until none of them runs."""
    await asyncio.sleep(0)
    await until(lambda: not any(is_alive(pid) for pid in pids))
