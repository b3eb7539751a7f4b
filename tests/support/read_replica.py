"""A real streaming replica of a running Postgres, made as an operator makes one: pg_basebackup, then hot standby."""

import os
from pathlib import Path
from typing import Any

import asyncpg

from sandbox.binaries import find_postgres
from sandbox.identity import hand_over, server_identity
from sandbox.postgres import PostgresConfig, PostgresServer
from sandbox.processes import ChildProcess, ProcessConfig, ProcessError


class ReadReplica(PostgresServer):
    """Follows `primary` into `directory`; the same roles, databases and passwords."""

    def __init__(self, primary: PostgresServer, directory: Path, port: int) -> None:
        self._primary = primary
        super().__init__(
            PostgresConfig(data_dir=directory / "data", port=port, durable=False, log_path=directory / "replica.log")
        )

    async def pause(self) -> None:
        """From now on it receives what is committed and shows nothing of it."""
        await self._ask("SELECT pg_wal_replay_pause()")

    async def resume(self) -> None:
        """Show it."""
        await self._ask("SELECT pg_wal_replay_resume()")

    async def _prepare(self) -> None:
        if not self._data_dir().exists():
            await _copy(self._primary, self._data_dir())

    async def _ask(self, statement: str) -> Any:
        connection = await asyncpg.connect(self.superuser_url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


async def _copy(primary: PostgresServer, data_dir: Path) -> None:
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    hand_over(data_dir.parent, server_identity())
    program = find_postgres().postgres.parent / "pg_basebackup"
    copying = ChildProcess(
        ProcessConfig(
            name="pg_basebackup",
            argv=(
                *(str(program), "--pgdata", str(data_dir), "--write-recovery-conf", "--checkpoint=fast"),
                *("--no-sync", "--wal-method=stream", "--dbname", primary.superuser_url),
            ),
            log_path=data_dir.with_name("pg_basebackup.log"),
            env={**os.environ, "LC_ALL": "C"},
            identity=server_identity(),
        )
    )
    async with copying:
        if code := await copying.wait():
            raise ProcessError(f"pg_basebackup ended with status {code}:\n{copying.log_tail()}")
