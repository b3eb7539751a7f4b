"""What Postgres and Redis have in common here: a server process on a loopback port that it keeps."""

import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.identity import hand_over, server_identity
from sandbox.ports import free_port
from sandbox.processes import ChildProcess, ProcessError
from sandbox.readiness import PORT_ATTEMPTS, PortTakenError


class LocalServer(ABC):
    """One server; the first `start` chooses the port, every later one uses it again."""

    def __init__(self, name: str, port: int | None) -> None:
        self._name = name
        self._port = port
        self._process: ChildProcess | None = None
        self._temporary: Path | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:  # also when cancelled half-way: nothing is left behind
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """The loopback port it listens on."""
        if self._port is None:
            raise ProcessError(f"{self._name} was not started")
        return self._port

    @property
    def process(self) -> ChildProcess:
        """The server's process, to pause, watch or read the log of."""
        if self._process is None:
            raise ProcessError(f"{self._name} was not started")
        return self._process

    @property
    def pid(self) -> int:
        """The server's own process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.running

    async def start(self) -> None:
        """Start it, on the same port as before if it ran before.

        Raises:
            StartError: it did not come up; PortTakenError when its port is taken.
            MissingServerError: no server program is at hand.
        """
        if self.running:
            raise ProcessError(f"{self._name} is already running (pid {self.pid})")
        await self._prepare()
        for attempt in range(PORT_ATTEMPTS):
            port = self._port or free_port()
            try:
                await self._start_on(port)
            except PortTakenError:
                if self._port is not None or attempt + 1 == PORT_ATTEMPTS:
                    raise
            else:
                self._port = port
                return

    async def stop(self) -> None:
        """End it in order; `start` brings it back on the same port."""
        if self._process is not None:
            await self._process.stop()

    async def kill(self) -> None:
        """End it as a crash would."""
        await self.process.kill()

    async def restart(self) -> None:
        """Stop and start, on the same port."""
        await self.stop()
        await self.start()

    async def close(self) -> None:
        """Stop it and remove what it kept for itself."""
        try:
            await self.stop()
        finally:
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)
                self._temporary = None

    def _own_directory(self) -> Path:
        """A directory that goes with the server, readable by the user it runs as."""
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix=f"billing-{self._name}-"))
            hand_over(self._temporary, server_identity())
        return self._temporary

    @abstractmethod
    async def _prepare(self) -> None:
        """What has to be there before the process can start."""

    @abstractmethod
    async def _start_on(self, port: int) -> None:
        """Start the process and wait until it answers; PortTakenError where the port is not free."""
