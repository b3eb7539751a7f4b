"""`REDIS_URL` as operators write it: one server, a cluster's nodes, or sentinels that know the primary.

`redis://` one server, `redis+cluster://h1:p,h2:p` some nodes of a cluster, `redis+sentinel://s1:p,s2:p/NAME[/db]`; each
with `user:password@`, and with TLS as `rediss…`. `unix://[user:password@]/path` is a socket on this machine.
"""

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote

from common.settings import Reader, Secret

SCHEMES: Final = (
    "redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel",
)  # fmt: skip

_HOST: Final = re.compile(r"(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?")
_MASTER: Final = re.compile(r"[\w.:-]{1,128}")
_NUMBER: Final = re.compile(r"\d{1,4}")
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_MAX_PORT: Final = 65_535

_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CHECK_HOSTNAME: Final = "ssl_check_hostname"
_SENTINEL_USER: Final = "sentinel_username"
_SENTINEL_PASSWORD: Final = "sentinel_password"  # noqa: S105 - an option's name
_OPTIONS: Final = ("db", *_FILES, _CHECK_HOSTNAME, _SENTINEL_USER, _SENTINEL_PASSWORD)


class Topology(StrEnum):
    """What a Redis URL leads to."""

    ONE = "one"
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


class NodeAddress(NamedTuple):
    """A server's host and port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class User:
    """Who logs in; without a name the default user."""

    name: str | None
    password: Secret | None


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server's certificate is checked, and what we show it. Paths of PEM files; None: the system's, or none."""

    ca_certs: str | None
    certfile: str | None
    keyfile: str | None
    check_hostname: bool


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """Where Redis is, and who we are there."""

    topology: Topology
    nodes: tuple[NodeAddress, ...]
    """The server, some of the cluster's nodes, or the sentinels; none with a socket."""
    path: str | None
    """The socket."""
    user: User
    db: int
    tls: Tls | None
    master: str = ""
    """Of which primary the sentinels are asked."""
    sentinel_user: User = User(None, None)


class RedisUrlError(ValueError):
    """It cannot be used; `faults` holds a reason for each fault and no part of the URL."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def parse(text: str) -> RedisUrl:
    """Read a Redis URL; RedisUrlError with every fault."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in SCHEMES or not rest:
        raise RedisUrlError([f"must be a URL such as redis://host…; schemes: {' '.join(SCHEMES)}"])
    return _Parser(scheme, rest).parse()


def read_redis_url(reader: Reader, name: str) -> Secret:
    """A variable that must hold one; its faults are the reader's."""
    url = reader.secret(name)
    _note_faults(reader, name, url)
    return url


def read_optional_redis_url(reader: Reader, name: str) -> Secret | None:
    """A variable that may hold one."""
    url = reader.optional_secret(name)
    if url is not None:
        _note_faults(reader, name, url)
    return url


def _note_faults(reader: Reader, name: str, url: Secret) -> None:
    if not url.reveal():
        return  # noted already
    try:
        parse(url.reveal())
    except RedisUrlError as error:
        for fault in error.faults:
            reader.fault(name, fault)


class _Parser:
    def __init__(self, scheme: str, rest: str) -> None:
        kind, _, topology = scheme.partition("+")
        self._topology = Topology(topology or "one")
        self._unix = kind == "unix"
        self._tls = kind == "rediss"
        head, _, query = rest.partition("?")
        self._login, _, self._place = head.rpartition("@")
        self._query = parse_qs(query, keep_blank_values=True)
        self._faults: list[str] = []

    def parse(self) -> RedisUrl:
        place, _, path = self._place.partition("/")
        self._check_options()
        nodes = () if self._unix else self._nodes(place)
        master, db = self._path(path)
        url = RedisUrl(
            topology=self._topology,
            nodes=nodes,
            path=f"{place}/{path}" if self._unix else None,
            user=self._user(*self._login_parts()),
            db=self._db(db),
            tls=self._tls_options(),
            master=master,
            sentinel_user=self._user(self._option(_SENTINEL_USER), self._option(_SENTINEL_PASSWORD)),
        )
        if self._unix and (place or not path):
            self._fault("must name a socket by its absolute path: unix:///path/of/socket")
        if self._faults:
            raise RedisUrlError(self._faults)
        return url

    def _fault(self, reason: str) -> None:
        self._faults.append(reason)

    def _option(self, name: str) -> str:
        return self._query.get(name, [""])[-1]

    def _nodes(self, place: str) -> tuple[NodeAddress, ...]:
        default = _SENTINEL_PORT if self._topology is Topology.SENTINEL else _PORT
        nodes = []
        for number, part in enumerate(place.split(","), 1):
            match = _HOST.fullmatch(part)
            port = int(match["port"] or default) if match else 0
            if match is None or not 0 < port <= _MAX_PORT:
                self._fault(f"must name hosts as host:port; number {number} is none")
            else:
                nodes.append(NodeAddress(match["host"].strip("[]"), port))
        if self._topology is Topology.ONE and "," in place:
            self._fault("names several hosts, which is for redis+cluster:// and redis+sentinel://")
        return tuple(nodes)

    def _path(self, path: str) -> tuple[str, str]:
        """The master's name and the database, as far as the path names them."""
        if self._unix:
            return "", ""
        if self._topology is not Topology.SENTINEL:
            return "", path
        master, _, db = path.partition("/")
        if not _MASTER.fullmatch(unquote(master)):
            self._fault("must name the sentinels' master: redis+sentinel://host:26379/NAME")
        return unquote(master), db

    def _db(self, path: str) -> int:
        text = self._option("db") or path or "0"
        if not _NUMBER.fullmatch(text):
            self._fault("must name the database by its number, such as /0")
            return 0
        if self._topology is Topology.CLUSTER and int(text):
            self._fault("must not name a database: a cluster has number 0 alone")
        return int(text)

    def _login_parts(self) -> tuple[str, str]:
        name, _, password = self._login.partition(":")
        return unquote(name), unquote(password)

    def _user(self, name: str, password: str) -> User:
        if name and not password:
            self._fault("names a user without a password")
        return User(name or None, Secret(password) if password else None)

    def _check_options(self) -> None:
        if any(name not in _OPTIONS for name in self._query):
            self._fault(f"has an option that is not known; known are {' '.join(_OPTIONS)}")
        if not self._tls and any(name.startswith("ssl_") for name in self._query):
            self._fault(
                "has ssl_ options, which need a scheme with TLS: rediss://, rediss+cluster://, rediss+sentinel://"
            )
        if self._topology is not Topology.SENTINEL and {_SENTINEL_USER, _SENTINEL_PASSWORD}.intersection(self._query):
            self._fault("has sentinel_ options, which need redis+sentinel://")

    def _tls_options(self) -> Tls | None:
        if not self._tls:
            return None
        for name in _FILES:
            if self._option(name) and not os.access(self._option(name), os.R_OK):
                self._fault(f"has {name}, which names a file that cannot be read")
        checked = self._option(_CHECK_HOSTNAME) or "true"
        if checked not in {"true", "false"}:
            self._fault(f"has {_CHECK_HOSTNAME}, which must be true or false")
        ca_certs, certfile, keyfile = (self._option(name) or None for name in _FILES)
        return Tls(ca_certs, certfile, keyfile, checked == "true")
