"""A lean client for Python apps that ask a sidecar: sync and async, over TCP or a unix socket.

Any HTTP client will do; this one keeps its connection, gives typed answers, and has a policy for the moment in which
even the sidecar is away (its container restarts, say), so that no caller has to invent one.
"""

import http.client
import socket
from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
from yarl import URL

from sidecar.typed import Check

TIMEOUT: Final = 0.5
"""Seconds for an answer: a thousand times what one takes, short enough for the request that waits for it."""

_WAITING: Final = 4.0
"""Seconds more where `min_revision` is told: the sidecar may wait for it, and then ask the writer."""

_PATH: Final = "/api/v1/check"
_decode: Final = msgspec.json.Decoder(Check).decode


class OnFailure(StrEnum):
    """What is answered while the sidecar is away."""

    DENY = "deny"
    ALLOW = "allow"
    RAISE = "raise"
    """UnavailableError."""


class EntitlementsError(Exception):
    """The sidecar refused the question: a fault of the caller. `code` is stable, the message says how to mend it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class UnavailableError(Exception):
    """The sidecar is away, or has nothing loaded yet."""


class _Client:
    def __init__(
        self,
        address: str = "http://127.0.0.1:7070",
        *,
        project: str | None = None,
        timeout: float = TIMEOUT,
        on_failure: OnFailure = OnFailure.DENY,
        on_failure_of: Mapping[str, OnFailure] | None = None,
    ) -> None:
        """`address`: `http://HOST:PORT` or `unix:/PATH`; `on_failure_of`: by feature, it goes before `on_failure`.

        Raises:
            ValueError: `address` is neither.
        """
        self._unix = address.removeprefix("unix:") if address.startswith("unix:") else None
        parts = urlsplit(address)
        if not self._unix and (parts.scheme != "http" or not parts.hostname):
            raise ValueError(f"address must be http://HOST:PORT or unix:/PATH, not {address!r}")
        self._host = parts.hostname or "localhost"
        self._port = parts.port or 80
        self._project = project
        self._timeout = timeout
        self._on_failure = on_failure
        self._on_failure_of = dict(on_failure_of or {})

    def _target(self, user: str, feature: str, more: Mapping[str, Any]) -> str:
        asked = {"user_id": user, "feature": feature}
        if self._project is not None:
            asked["project_id"] = self._project
        asked |= {name: _text(value) for name, value in more.items() if value is not None}
        return f"{_PATH}?{urlencode(asked)}"

    def _seconds(self, min_revision: str | None) -> float:
        return self._timeout if min_revision is None else self._timeout + _WAITING

    def _failed(self, user: str, feature: str, error: Exception) -> Check:
        policy = self._on_failure_of.get(feature, self._on_failure)
        if policy is OnFailure.RAISE:
            raise UnavailableError(f"the sidecar gives no answer: {error}") from error
        allowed = policy is OnFailure.ALLOW
        return Check(allowed, user, self._project, feature, "unavailable", stale=True)


class EntitlementsClient(_Client):
    """For code that blocks. One client serves any number of threads: it keeps as many connections as ask at once."""

    @cached_property
    def _idle(self) -> deque[http.client.HTTPConnection]:
        return deque()

    def check(
        self,
        user: str,
        feature: str,
        *,
        used: int | None = None,
        min_revision: str | None = None,
        expected: bool | None = None,
    ) -> Check:
        """May the user use the feature?

        Raises:
            EntitlementsError: the question was refused.
            UnavailableError: the sidecar is away, and the policy is to raise.
        """
        target = self._target(user, feature, {"used": used, "min_revision": min_revision, "expected": expected})
        try:
            status, body = self._ask(target, self._seconds(min_revision))
        except (OSError, http.client.HTTPException) as error:
            return self._failed(user, feature, error)
        return _answer(status, body) or self._failed(user, feature, UnavailableError(f"status {status}"))

    def close(self) -> None:
        """Close the connections that nobody uses now; a later check opens another."""
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, target: str, seconds: float) -> tuple[int, bytes]:
        try:
            kept = self._idle.pop()
        except IndexError:
            return self._on(self._connection(), target, seconds)
        try:
            return self._on(kept, target, seconds)
        except ConnectionError:  # closed while it was idle, or the sidecar was started anew: another one may do
            return self._on(self._connection(), target, seconds)

    def _on(self, connection: http.client.HTTPConnection, target: str, seconds: float) -> tuple[int, bytes]:
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(seconds)
            connection.request("GET", target)
            response = connection.getresponse()
            answer = response.status, response.read()
        except BaseException:
            connection.close()  # what is left of an answer must not become the next one's
            raise
        self._idle.append(connection)
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        if self._unix is not None:
            return _UnixConnection(self._unix, self._timeout)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)


class AsyncEntitlementsClient(_Client):
    """For asyncio: `async with AsyncEntitlementsClient(…) as client`."""

    _session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0) if self._unix is None else aiohttp.UnixConnector(self._unix, limit=0)
        self._session = aiohttp.ClientSession(
            f"http://{self._host}:{self._port}",
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def check(
        self,
        user: str,
        feature: str,
        *,
        used: int | None = None,
        min_revision: str | None = None,
        expected: bool | None = None,
    ) -> Check:
        """May the user use the feature? Errors as those of `EntitlementsClient.check`."""
        target = self._target(user, feature, {"used": used, "min_revision": min_revision, "expected": expected})
        timeout = aiohttp.ClientTimeout(total=self._seconds(min_revision))
        try:
            async with self._session.get(URL(target, encoded=True), timeout=timeout) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._failed(user, feature, error)
        return _answer(status, body) or self._failed(user, feature, UnavailableError(f"status {status}"))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _answer(status: int, body: bytes) -> Check | None:
    """The answer; None where the sidecar has none to give."""
    if status == HTTPStatus.OK:
        return _decode(body)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    try:
        problem = msgspec.json.decode(body)
        raise EntitlementsError(problem["code"], problem["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        raise EntitlementsError("unreadable_answer", f"status {status}: is that a sidecar?") from None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
