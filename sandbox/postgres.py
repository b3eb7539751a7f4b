"""A real Postgres server on a loopback port, with its data directory kept or thrown away."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg

from sandbox.binaries import PostgresBinaries, find_postgres
from sandbox.identity import server_identity
from sandbox.local_server import LocalServer
from sandbox.postgres_data import SUPERUSER, ensure_owner, initialise, remove_stale_lock
from sandbox.processes import ChildProcess, ProcessConfig
from sandbox.readiness import StartError, until_ready

PROBE_TIMEOUT_S: Final = 5.0
SEGMENT_IN_USE: Final = "pre-existing shared memory block"
SEGMENT_ATTEMPTS: Final = 50

DURABLE: Final[Mapping[str, str]] = {}
FAST: Final[Mapping[str, str]] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # A killed server leaves nothing behind in /dev/shm: it is in the data directory, which is removed.
    "dynamic_shared_memory_type": "mmap",
}


@dataclass(frozen=True, slots=True)
class PostgresConfig:
    """How to run it. `port` None: a free one.

    `data_dir` None: a temporary one, removed by `close`; else it is made when missing, and kept.
    `durable` False trades safety against power loss for speed: right for tests.
    `settings` are lines of postgresql.conf, such as {"log_statement": "all"}.
    """

    data_dir: Path | None = None
    port: int | None = None
    durable: bool = True
    log_path: Path | None = None
    user: str = "billing_user"
    password: str = field(default="billing_pass", repr=False)
    database: str = "billing_db"
    max_connections: int = 200
    settings: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 60.0


class PostgresServer(LocalServer):
    """One server, with its data kept over restarts; a crash costs what was not `durable`."""

    def __init__(self, config: PostgresConfig | None = None) -> None:
        self.config = config or PostgresConfig()
        super().__init__("postgres", self.config.port)

    @property
    def url(self) -> str:
        """`postgresql://USER:PASSWORD@127.0.0.1:PORT/DATABASE`: an ordinary role that may create databases."""
        return self.url_of(self.config.database)

    @property
    def superuser_url(self) -> str:
        """As `url`, as the superuser: for what an operator does, not for the product."""
        return self.url_of(self.config.database, user=SUPERUSER)

    def url_of(self, database: str, *, user: str | None = None) -> str:
        """The URL of another database on this server."""
        return f"postgresql://{user or self.config.user}:{self.config.password}@127.0.0.1:{self.port}/{database}"

    async def _prepare(self) -> None:
        await initialise(find_postgres(), self._data_dir(), self.config.password)
        remove_stale_lock(self._data_dir())

    def _data_dir(self) -> Path:
        if self.config.data_dir is not None:
            return self.config.data_dir.absolute()
        return self._own_directory() / "data"

    async def _start_on(self, port: int) -> None:
        data_dir = self._data_dir()
        self._process = ChildProcess(
            ProcessConfig(
                name="postgres",
                argv=self._argv(find_postgres(), data_dir, port),
                log_path=self.config.log_path or data_dir.with_name(f"{data_dir.name}.log"),
                env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
                stop_signal=signal.SIGINT,  # fast: do not wait for clients to leave
                death_signal=signal.SIGQUIT,  # immediate, and the postmaster takes its children along
                identity=server_identity(),
            )
        )
        for attempt in range(SEGMENT_ATTEMPTS):
            self._process.start()
            try:
                await until_ready(self._process, lambda: self._probe(port, data_dir), self.config.start_timeout_s)
            except StartError as error:
                # Backends of a killed postmaster notice within moments that it is gone.
                if SEGMENT_IN_USE not in str(error) or attempt + 1 == SEGMENT_ATTEMPTS:
                    raise
            else:
                return

    def _argv(self, binaries: PostgresBinaries, data_dir: Path, port: int) -> tuple[str, ...]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": str(self.config.max_connections),
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **(DURABLE if self.config.durable else FAST),
            **self.config.settings,
        }
        pairs = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return (str(binaries.postgres), "-D", str(data_dir), *pairs)

    async def _probe(self, port: int, data_dir: Path) -> str | None:
        config = self.config
        try:
            connection = await asyncpg.connect(
                host="127.0.0.1",
                port=port,
                user=SUPERUSER,
                password=config.password,
                database="postgres",
                timeout=PROBE_TIMEOUT_S,
                ssl=False,
            )
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        try:
            if await connection.fetchval("SHOW data_directory") != str(data_dir):
                return "another server answers on the port"
            await ensure_owner(connection, config.user, config.password, config.database)
        finally:
            await connection.close()
        return None
