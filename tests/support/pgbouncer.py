"""A real PgBouncer in transaction mode on a loopback port, in front of a Postgres that need not run yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from sandbox.identity import hand_over, server_identity
from sandbox.local_server import LocalServer
from sandbox.postgres import PostgresConfig
from sandbox.processes import ChildProcess, ProcessConfig, ProcessError
from sandbox.readiness import until_ready
from tests.support.tools import program

POOL: Final = 4
"""Connections to Postgres: fewer than our own, so that transactions change them all the time."""
_ADMIN: Final = "pgbouncer"
_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class PgBouncerConfig:
    """In front of the Postgres on `postgres_port`; role and password are the local stack's."""

    postgres_port: int
    log_path: Path
    port: int | None = None
    pool: int = POOL


class PgBouncer(LocalServer):
    """One pooler."""

    def __init__(self, config: PgBouncerConfig) -> None:
        self.config = config
        super().__init__("pgbouncer", config.port)

    def url_of(self, database: str) -> str:
        """A database through the pooler."""
        return f"postgresql://{_STACK.user}:{_STACK.password}@127.0.0.1:{self.port}/{database}"

    async def _prepare(self) -> None:
        users = f'"{_STACK.user}" "{_STACK.password}"\n"{_ADMIN}" "{_STACK.password}"\n'
        self._write("users.txt", users)

    async def _start_on(self, port: int) -> None:
        found = program("pgbouncer")()
        if found is None:
            raise ProcessError("pgbouncer is not installed")
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self._own_directory() / "users.txt",
            "admin_users": _ADMIN,
            "pool_mode": "transaction",
            "default_pool_size": self.config.pool,
            "max_client_conn": 500,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        databases = f"* = host=127.0.0.1 port={self.config.postgres_port}"
        ini = self._write("pgbouncer.ini", "\n".join(["[databases]", databases, "[pgbouncer]", *lines, ""]))
        argv = (found, str(ini))
        self._process = ChildProcess(
            ProcessConfig(name="pgbouncer", argv=argv, log_path=self.config.log_path, identity=server_identity())
        )
        self._process.start()
        await until_ready(self._process, lambda: self._probe(port), _SECONDS)

    def _write(self, name: str, text: str) -> Path:
        path = self._own_directory() / name
        path.write_text(text, encoding="utf-8")
        hand_over(path, server_identity())
        return path

    async def _probe(self, port: int) -> str | None:
        place = {"host": "127.0.0.1", "port": port, "user": _ADMIN, "password": _STACK.password, "ssl": False}
        try:
            connection = await asyncpg.connect(**place, database="pgbouncer", timeout=2, statement_cache_size=0)
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        connection.terminate()
        return None


_STACK: Final = PostgresConfig()
