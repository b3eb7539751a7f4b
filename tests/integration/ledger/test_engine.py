"""The engine's connections."""

import socket

from tests.support.ledger import open_engine
from writer.db.engine import LOST_AFTER_SECONDS


async def test_a_silent_connection_is_given_up_in_seconds(database_url: str) -> None:
    """The system itself ends a connection whose other end says nothing any more, so that nobody waits for minutes."""
    engine = open_engine(database_url)
    try:
        proxied = await engine.raw_connection()
        connected = proxied.driver_connection._transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == LOST_AFTER_SECONDS * 1000
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        proxied.close()
    finally:
        await engine.dispose()
