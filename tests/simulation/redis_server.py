"""The model of Redis on the network: commands arrive in batches, and what is published goes to who has subscribed."""

from typing import TYPE_CHECKING, Any

from tests.simulation.network import Connection
from tests.simulation.processes import Process
from tests.simulation.redis_model import RedisModel

if TYPE_CHECKING:
    from tests.simulation.redis_values import Client


class RedisServer:
    """One Redis."""

    def __init__(self, process: Process, model: RedisModel) -> None:
        self.process = process
        self.model = model
        self._clients: dict[Connection, Client] = {}

    def restart(self, dump: RedisModel | None = None) -> None:
        """Come up again: every connection breaks, and only what the dump holds is there."""
        for connection in list(self._clients):
            connection.reset()
        self._clients.clear()
        self.model.restart(dump)

    def opened(self, connection: Connection) -> None:
        """A client is there."""
        self._clients[connection] = self.model.connect(connection.push)

    def received(self, connection: Connection, message: list[tuple[Any, ...]]) -> None:
        """Commands that came together."""
        client = self._clients.get(connection)
        if client is not None:
            for command in message:
                connection.push((self.model.execute(client, command),))

    def closed(self, connection: Connection) -> None:
        """A client is gone."""
        client = self._clients.pop(connection, None)
        if client is not None:
            self.model.disconnect(client)
