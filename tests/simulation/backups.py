"""What a database or a Redis is put back to: earlier states of both, the last few of them."""

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.simulation.postgres_state import Database
    from tests.simulation.redis_model import RedisModel
    from tests.simulation.writer_process import Servers

_BACKUP_SECONDS: Final = 2.0


class Backups:
    """Of one world's servers."""

    def __init__(self) -> None:
        self.databases: list[Database] = []
        self.dumps: list[RedisModel] = []

    async def keep(self, servers: "Servers") -> None:
        """Take them, until cancelled."""
        while True:
            self.databases = [*self.databases[-3:], servers.postgres.committed]
            self.dumps = [*self.dumps[-1:], servers.redis.model.dump()]
            await asyncio.sleep(_BACKUP_SECONDS)
