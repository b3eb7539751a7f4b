"""A supervised child process: logged, stoppable, and never outliving its parent."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sandbox.identity import Identity, launch_command

POLL_S: Final = 0.01
TAIL_LINES: Final = 20
TAIL_BYTES: Final = 32_768


class ProcessError(Exception):
    """A process of the local stack did not do what was asked of it."""


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """What to run. `argv[0]` is an absolute path; `env` is the whole environment, None inherits ours.

    `death_signal` is what the kernel sends the child when we die, however we die (Linux only).
    """

    name: str
    argv: tuple[str, ...]
    log_path: Path
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0
    death_signal: signal.Signals = signal.SIGKILL
    identity: Identity = Identity.SAME


class ChildProcess:
    """One child in a session of its own, so that Ctrl-C in a terminal reaches us and not it.

    Bound to no event loop: it may be started in one and stopped in another. Start it from a thread that lives as
    long as the child should, since the kernel ties the child's life to that thread.
    """

    def __init__(self, config: ProcessConfig) -> None:
        self.config = config
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        """The process id; it is the command's own, not a wrapper's."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self.returncode is None

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        popen = self._started()
        if popen.returncode is None and self._has_ended(popen.pid):
            # Not reaped yet, so the group's number is still ours: nobody of the group is left behind.
            self._signal(signal.SIGKILL)
            popen.wait()
        return popen.returncode

    def start(self) -> None:
        """Start it, or start it again after it ended; output is appended to the log."""
        if self.running:
            raise ProcessError(f"{self.config.name} is already running (pid {self.pid})")
        config = self.config
        config.log_path.parent.mkdir(parents=True, exist_ok=True)
        with config.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._popen = subprocess.Popen(
                launch_command(config.identity, config.death_signal, config.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if config.env is None else dict(config.env),
                cwd=config.cwd,
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Wait until it ended and give its return code."""
        while (code := self.returncode) is None:  # noqa: ASYNC110 - a kernel state that no loop here watches
            await asyncio.sleep(POLL_S)
        return code

    async def stop(self) -> int | None:
        """Ask it to end, end it after the grace. Its return code, None when it never ran."""
        if self._popen is None:
            return None
        if self.running:
            self._signal(self.config.stop_signal)
            self._signal(signal.SIGCONT)  # a paused process would not hear it
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self.wait(), self.config.stop_grace_s)
        return await self.kill()

    async def kill(self) -> int:
        """End it at once, as a crash of the machine would."""
        if self.running:
            self._signal(signal.SIGKILL)
        return await self.wait()

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines that it wrote since its last start."""
        with contextlib.suppress(FileNotFoundError), self.config.log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        return ""

    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise ProcessError(f"{self.config.name} was not started")
        return self._popen

    def _signal(self, number: signal.Signals) -> None:
        popen = self._started()
        if popen.returncode is None:  # once reaped, the number may belong to someone else
            with contextlib.suppress(ProcessLookupError):
                os.killpg(popen.pid, number)

    @staticmethod
    def _has_ended(pid: int) -> bool:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
