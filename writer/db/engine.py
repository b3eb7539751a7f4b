"""The engine: a pool of asyncpg connections, as the settings say."""

import socket
from typing import Any, Final

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from writer.db.url import asyncpg_dsn
from writer.settings import DatabaseSettings

LOST_AFTER_SECONDS: Final = 10
"""After which a connection whose other end is silent counts as lost. Without it the system waits for a quarter of an
hour, and so would whoever asked: a firewall that forgot a connection tells nobody."""


def create_engine(settings: DatabaseSettings, *, application_name: str = "billing-writer") -> AsyncEngine:
    """An engine on `settings.url`; it opens no connection before it is used."""
    dsn = asyncpg_dsn(settings.url.reveal())

    async def connect(*_: Any, **__: Any) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            dsn,
            timeout=settings.lock_timeout,
            server_settings={
                "application_name": application_name,
                "statement_timeout": _milliseconds(settings.statement_timeout),
                "lock_timeout": _milliseconds(settings.lock_timeout),
                "idle_in_transaction_session_timeout": _milliseconds(settings.idle_timeout),
                "timezone": "UTC",
                # Compiling costs more than any of our statements takes; it would hit the first purchases of a day.
                "jit": "off",
            },
        )
        _give_up_in_time(connection)
        return connection

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.lock_timeout,
        pool_pre_ping=False,
        pool_use_lifo=True,
        hide_parameters=True,  # an error is logged; people's data and what opens doors are not
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )


def _give_up_in_time(connection: asyncpg.Connection) -> None:
    transport = connection._transport  # noqa: SLF001 - asyncpg has no other way to its socket
    connected = transport.get_extra_info("socket")
    if connected is None or connected.family == socket.AF_UNIX or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_AFTER_SECONDS * 1000)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # where only an answer is waited for
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, LOST_AFTER_SECONDS // 2)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
