"""The model of Redis on the network: commands arrive in batches, and what is published goes to who has subscribed."""

from typing import TYPE_CHECKING, Any

from tests.simulation.network import Connection
from tests.simulation.processes import Process
from tests.simulation.redis_model import RedisModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.redis_values import Client


class RedisServer:
    """One Redis."""

    def __init__(self, process: Process, model: RedisModel) -> None:
        self.process = process
        self.model = model
        self.on_publish: Callable[[Connection, str, bytes], None] | None = None
        self._clients: dict[Connection, Client] = {}

    def restart(self, dump: RedisModel | None = None) -> None:
        """Come up again: every connection breaks, and only what the dump holds is there."""
        for connection in list(self._clients):
            connection.reset()
        self._clients.clear()
        self.model.restart(dump)

    def listens(self, process: Process, channel: str) -> bool:
        """Whether a process has subscribed to a channel."""
        return any(one.client is process and channel in client.channels for one, client in self._clients.items())

    def opened(self, connection: Connection) -> None:
        """A client is there."""
        self._clients[connection] = self.model.connect(connection.push)

    def received(self, connection: Connection, message: list[tuple[Any, ...]]) -> None:
        """Commands that came together."""
        client = self._clients.get(connection)
        if client is not None:
            for command in message:
                if command[0] == "PUBLISH" and self.on_publish is not None:
                    self.on_publish(connection, command[1], command[2])
                connection.push((self.model.execute(client, command),))

    def closed(self, connection: Connection) -> None:
        """A client is gone."""
        client = self._clients.pop(connection, None)
        if client is not None:
            self.model.disconnect(client)
