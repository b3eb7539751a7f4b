"""The engine: a pool of asyncpg connections, as the settings say."""

import logging
import socket
from dataclasses import replace
from typing import Any, Final

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from writer.db.pool import CountedPool
from writer.db.url import asyncpg_dsn
from writer.settings import DatabaseSettings, Pooler

_log = logging.getLogger(__name__)

_NO_NAME: Final = ""
"""Postgres's name for the statement that the next one replaces."""

LOST_AFTER_SECONDS: Final = 10
"""After which a connection whose other end is silent counts as lost. Without it the system waits for a quarter of an
hour, and so would whoever asked: a firewall that forgot a connection tells nobody."""


def create_engine(settings: DatabaseSettings, *, application_name: str = "billing-writer") -> AsyncEngine:
    """An engine on `settings.url`; it opens no connection before it is used."""
    pooled = settings.pooler is Pooler.TRANSACTION
    connections = _PooledConnections(settings, application_name) if pooled else _Connections(settings, application_name)
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={"async_creator_fn": connections.open, **connections.statements},
        poolclass=CountedPool,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.lock_timeout,
        pool_pre_ping=False,
        pool_use_lifo=True,
        hide_parameters=True,  # an error is logged; people's data and what opens doors are not
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )


def create_read_engine(settings: DatabaseSettings) -> AsyncEngine | None:
    """An engine on `settings.read_url`; None where there is none."""
    if settings.read_url is None:
        return None
    return create_engine(replace(settings, url=settings.read_url), application_name="billing-writer-reads")


class _Connections:
    """Connections of our own: limits are the session's, statements are prepared once."""

    statements: Final[dict[str, Any]] = {}

    def __init__(self, settings: DatabaseSettings, application_name: str) -> None:
        self._dsn = asyncpg_dsn(settings.url.reveal())
        self._timeout = settings.lock_timeout
        self._session = {
            "application_name": application_name,
            "statement_timeout": _milliseconds(settings.statement_timeout),
            "lock_timeout": _milliseconds(settings.lock_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(settings.idle_timeout),
            "timezone": "UTC",
            # Compiling costs more than any of our statements takes; it would hit the first purchases of a day.
            "jit": "off",
        }

    async def open(self, *_: Any, **__: Any) -> asyncpg.Connection:
        """A new one."""
        connection = await asyncpg.connect(self._dsn, timeout=self._timeout, server_settings=self._session)
        _give_up_in_time(connection)
        return connection


class _PooledConnections:
    """Connections to a pooler: each transaction may run on another one of Postgres's.

    So no statement outlasts its transaction: each is the unnamed one, which asyncpg parses and runs without letting
    go of the connection in between. A session's limits would be somebody else's too: they are the role's.
    """

    statements: Final[dict[str, Any]] = {
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: _NO_NAME,
    }

    def __init__(self, settings: DatabaseSettings, application_name: str) -> None:
        self._dsn = asyncpg_dsn(settings.url.reveal())
        self._timeout = settings.lock_timeout
        self._session = {"application_name": application_name, "timezone": "UTC"}  # what each pooler carries along
        self._looked = False

    async def open(self, *_: Any, **__: Any) -> asyncpg.Connection:
        """A new one; the first looks at the limits."""
        connection = await asyncpg.connect(
            self._dsn, timeout=self._timeout, server_settings=self._session, statement_cache_size=0
        )
        _give_up_in_time(connection)
        if not self._looked:
            self._looked = True
            lacking = [row["name"] for row in await connection.fetch(_LACKING)]
            if lacking:
                _log.warning("the database's role has no limits through the pooler, set them: %s", " ".join(lacking))
        return connection


_LACKING: Final = """
SELECT name FROM pg_settings WHERE setting = '0'
    AND name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name
"""


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
