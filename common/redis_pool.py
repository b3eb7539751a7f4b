"""Connections to what a Redis URL names: each finds the primary itself, and looks whom it has reached."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import redis
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as LostError

from common.redis_faults import Facts, RedisSettingError, check_server, explained, is_too_old, too_old
from common.redis_url import NodeAddress, RedisUrl, Topology, User

_SENTINEL_SECONDS: Final = 1.0

Locate = Callable[[], Awaitable[NodeAddress]]
OnConnect = Callable[[AbstractConnection], Awaitable[None]]


class _Losable(AbstractConnection):
    """Says that a connection is lost in the one way that everybody expects.

    uvloop raises RuntimeError where something is written to a connection just after it was reset.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """As redis-py's own."""
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise LostError(f"the connection was lost: {error}") from error


class _Plain(_Losable, Connection):
    """Over TCP."""


class _Tls(_Losable, SSLConnection):
    """Over TCP with TLS."""


class _Unix(_Losable, UnixDomainSocketConnection):
    """Over a unix socket."""


class _Located(_Plain):
    """Asks where the primary is each time that it connects: after a failover it is elsewhere."""

    def __init__(self, *, locate: Locate, **settings: Any) -> None:
        super().__init__(**settings)
        self._locate = locate

    async def _connect(self) -> None:
        self.host, self.port = await self._locate()
        await super()._connect()  # type: ignore[no-untyped-call]  # so redis-py ships it


class _LocatedTls(_Tls, _Located):
    """The same with TLS."""


def open_pool(
    url: RedisUrl,
    address: NodeAddress | None = None,
    kind: type[ConnectionPool] = ConnectionPool,
    *,
    primary: bool = False,
    on_connect: OnConnect | None = None,
    **options: Any,
) -> ConnectionPool:
    """A pool of connections to a cluster's node at `address`, else to the URL's server; none is opened yet.

    A failed command is never repeated by itself. `primary`: a replica is refused; `on_connect` runs on each new one.
    """

    async def begin(connection: AbstractConnection) -> None:
        await connection.on_connect()
        facts = await _facts(connection)
        wants_primary = primary or url.topology is Topology.SENTINEL
        check_server(facts, primary=wants_primary, cluster=url.topology is Topology.CLUSTER)
        if on_connect is not None:
            await on_connect(connection)

    return kind(**_settings(url, address), redis_connect_func=begin, **{**_CAREFUL, **options})


def connect_blocking(url: RedisUrl, address: NodeAddress | None, **options: Any) -> Any:
    """One connection for a process that only reads and waits; `address`: where the primary was found.

    Raises RedisError and OSError.
    """
    if url.path is not None:
        place: dict[str, Any] = {"connection_class": redis.UnixDomainSocketConnection, "path": url.path}
    else:
        host, port = address or url.nodes[0]
        kind = redis.SSLConnection if url.tls else redis.Connection
        place = {"connection_class": kind, "host": host, "port": port, **_tls(url)}
    return redis.ConnectionPool(**place, **_login(url.user), db=url.db, **_PLAIN, **options).get_connection()


async def find_primary(url: RedisUrl) -> NodeAddress | None:
    """Where the primary is now, as the sentinels say; None where the URL says it itself. Raises RedisError, OSError."""
    return await Sentinels(url).primary() if url.topology is Topology.SENTINEL else None


class Sentinels:
    """Asks one sentinel after another; the one that answered is asked first the next time."""

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._addresses = list(url.nodes)

    async def primary(self) -> NodeAddress:
        """Where the primary is. RedisError where nobody knows."""
        faults: list[Exception] = []
        for address in list(self._addresses):
            try:
                found = await self._ask(address)
            except (RedisError, OSError) as error:
                faults.append(error)
                continue
            self._addresses.remove(address)
            self._addresses.insert(0, address)
            if found is not None:
                return found
            faults.append(RedisSettingError("REDIS_URL: the sentinels know no master of the name that it ends with"))
        raise RedisSettingError(explained(_clearest(faults)))

    async def _ask(self, address: NodeAddress) -> NodeAddress | None:
        timeouts = {"socket_timeout": _SENTINEL_SECONDS, "socket_connect_timeout": _SENTINEL_SECONDS}
        pool = ConnectionPool(
            connection_class=_Tls if self._url.tls else _Plain,
            host=address.host,
            port=address.port,
            **{**_CAREFUL, **timeouts, **_login(self._url.sentinel_user), **_tls(self._url)},
        )
        try:
            question = "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.master
            reply: Any = await Redis(connection_pool=pool).execute_command(*question)  # type: ignore[no-untyped-call]
        finally:
            await pool.disconnect()
        return None if reply is None else NodeAddress(reply[0].decode(), int(reply[1]))


_PLAIN: Final[dict[str, Any]] = {"protocol": 2, "driver_info": None}
"""The older protocol, whose messages are plain; and no word of the driver, which needs a right that Redis 7.0 lacks."""
_CAREFUL: Final[dict[str, Any]] = {**_PLAIN, "retry": Retry(NoBackoff(), 0), "health_check_interval": 0}


def _clearest(faults: Sequence[Exception]) -> Exception:
    said = [one for one in faults if isinstance(one, ResponseError | AuthenticationError | RedisSettingError)]
    return [*said, *faults][0]


def _settings(url: RedisUrl, address: NodeAddress | None) -> dict[str, Any]:
    login = {**_login(url.user), "db": url.db}
    if url.path is not None:
        return {"connection_class": _Unix, "path": url.path, **login}
    if url.topology is Topology.SENTINEL:
        kind: type[AbstractConnection] = _LocatedTls if url.tls else _Located
        return {"connection_class": kind, "locate": Sentinels(url).primary, **login, **_tls(url)}
    host, port = address or url.nodes[0]
    kind = _Tls if url.tls else _Plain
    return {"connection_class": kind, "host": host, "port": port, **login, **_tls(url)}


def _login(user: User) -> dict[str, Any]:
    return {"username": user.name, "password": None if user.password is None else user.password.reveal()}


def _tls(url: RedisUrl) -> dict[str, Any]:
    if url.tls is None:
        return {}
    return {
        "ssl_ca_certs": url.tls.ca_certs,
        "ssl_certfile": url.tls.certfile,
        "ssl_keyfile": url.tls.keyfile,
        "ssl_check_hostname": url.tls.check_hostname,
    }


async def _facts(connection: AbstractConnection) -> Facts:
    await connection.send_command("HELLO")
    try:
        said: Any = await connection.read_response()
    except NoPermissionError:
        return {}  # the commands themselves will tell
    except ResponseError as error:
        if is_too_old(error):
            raise too_old() from error
        raise
    return dict(zip(said[::2], said[1::2], strict=False))
