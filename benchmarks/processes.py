"""Processes that are measured: on which core they run, what they use, and how they are asked."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.population import PROJECT
from benchmarks.tools import NGINX
from sandbox.ports import free_port
from sandbox.processes import ChildProcess, ProcessConfig
from sandbox.readiness import until_ready
from sandbox.service import Service, ServiceConfig

_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the process that is measured, the other for who asks it; None where there is only one."""

    server: int
    load: int | None

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """The first two that this process may use."""
        first, *others = sorted(os.sched_getaffinity(0))
        return cls(first, others[0] if others else None)

    def pin(self, pid: int) -> None:
        """Keep a running process, with all its threads, on the server's core."""
        if self.load is not None:
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {self.server})

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Processes that are started within run on the load's core."""
        before = os.sched_getaffinity(0)
        if self.load is not None:
            os.sched_setaffinity(0, {self.load})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    @property
    def told(self) -> str:
        """In words."""
        if self.load is None:
            return "One core for everything: server and load disturb each other."
        return f"The server runs on core {self.server}, the load on core {self.load}."


@dataclass(frozen=True, slots=True)
class Served:
    """A process that listens."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Where."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Processor time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mb(self) -> float:
        """What it alone uses (USS): what would be free again if it ended."""
        lines = (line.split() for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines())
        return sum(int(line[1]) for line in lines if line[0].startswith("Private_")) / 1e3


@contextlib.asynccontextmanager
async def sidecar(
    redis_url: str, folder: Path, cores: Cores, module: str = "sidecar", more: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """A sidecar's process, loaded; `module`: another one with the same settings."""
    port, management = free_port(), free_port()
    environment = {
        "SIDECAR_PROJECT": PROJECT,
        "REDIS_URL": redis_url,
        "SIDECAR_LISTEN": f"127.0.0.1:{port}",
        "SIDECAR_MANAGEMENT_LISTEN": f"127.0.0.1:{management}",
        **(more or {}),
    }
    config = ServiceConfig(
        name=module,
        module=module,
        log_path=folder / f"{module}-{port}.log",
        ready_url=f"http://127.0.0.1:{management}/ready",
        env=environment,
        start_timeout_s=_START_SECONDS,
    )
    service = Service(config)
    await service.start()
    try:
        cores.pin(service.pid)
        yield Served(port, service.pid)
    finally:
        await service.close()


@contextlib.asynccontextmanager
async def nginx(answer: bytes, folder: Path, cores: Cores) -> AsyncIterator[Served | None]:
    """One nginx process that gives that answer to everything; None where there is no nginx."""
    found = NGINX.find()
    if found is None:
        yield None
        return
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.replace("PORT", str(port)).replace("ANSWER", answer.decode()))
    argv = (found, "-p", str(folder), "-e", "stderr", "-c", str(config))
    process = ChildProcess(ProcessConfig("nginx", argv, folder / "nginx.log"))
    process.start()
    try:
        await until_ready(process, lambda: _listens(port), 10.0)
        cores.pin(process.pid)
        yield Served(port, process.pid)
    finally:
        await process.stop()


async def _listens(port: int) -> str | None:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        return str(error)
    writer.close()
    return None


_NGINX = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {
    listen 127.0.0.1:PORT backlog=1024;
    location / { default_type application/json; return 200 'ANSWER'; }
  }
}
"""
