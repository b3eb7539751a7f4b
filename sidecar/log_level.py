"""`/log-level` of the management port: how much this sidecar logs, changed while it runs.

Prometheus and probes reach the port from elsewhere, without a key. To change anything one has to be on this machine,
or in this pod: `kubectl port-forward` is.
"""

import asyncio
import logging
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Final

import orjson
from aiohttp import web

from common.clock import SECOND, Clock, Instant, format_time
from common.http import json_response, read_body
from common.log_levels import LOGGER_NAME, MOST_SECONDS, LogLevels
from common.logs import LogLevel
from common.problems import Problem, bad_request

_log = logging.getLogger(__name__)

_PATH: Final = "/log-level"
_MOST_BODY: Final = 1_024
_MOST_ASKED: Final = 100
_FIELDS: Final = frozenset({"level", "logger", "for_seconds"})


class LogLevelRoutes:
    """Handlers, and what was asked for. In this process only: a restart forgets it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._levels = LogLevels()
        self._started = logging.getLevelName(logging.getLogger().level)
        self._asked: dict[str | None, tuple[LogLevel, Instant | None]] = {}

    def add_routes(self, app: web.Application) -> None:
        """Serve them."""
        app.router.add_get(_PATH, self.show)
        app.router.add_put(_PATH, self.ask)

    async def show(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's shape
        """What is asked for, and what counts elsewhere."""
        return self._answer()

    async def ask(self, request: web.Request) -> web.Response:
        """Ask for a level; the answer is that of `show`. Problem 403 `loopback_only` from elsewhere."""
        if not _is_local(request.remote):
            detail = "the level is changed from this machine only: ask 127.0.0.1, as kubectl port-forward does"
            raise Problem(HTTPStatus.FORBIDDEN, "loopback_only", detail)
        logger, level, seconds = _parsed(await read_body(request, _MOST_BODY))
        self._asked.pop(logger, None)
        if level is not None:
            if len(self._asked) >= _MOST_ASKED:
                raise bad_request("invalid_logger", f"levels of {_MOST_ASKED} loggers are asked for already")
            until = None if seconds is None else Instant(self._clock.now() + seconds * SECOND)
            self._asked[logger] = (level, until)
            if seconds is not None:
                asyncio.get_running_loop().call_later(seconds, self._lapse, logger, until)
        self._apply()
        return self._answer()

    def _lapse(self, logger: str | None, until: Instant | None) -> None:
        if logger in self._asked and self._asked[logger][1] == until:
            del self._asked[logger]
            self._apply()

    def _apply(self) -> None:
        asked = {name: level for name, (level, _) in self._asked.items()}
        if self._levels.apply(asked):
            named = " ".join(f"{name or 'all'}:{level.value}" for name, level in asked.items())
            _log.warning("log levels changed asked=%s", named or "none")

    def _answer(self) -> web.Response:
        asked = [
            {"logger": name, "level": level.value.lower(), "until": None if until is None else format_time(until)}
            for name, (level, until) in sorted(self._asked.items(), key=lambda one: one[0] or "")
        ]
        return json_response({"log_level": self._started.lower(), "asked": asked})


def _is_local(remote: str | None) -> bool:
    # None: a unix socket. An IPv4 caller of an IPv6 socket is named ::ffff:127.0.0.1.
    if not remote:
        return True
    address = ip_address(remote.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _parsed(data: bytes) -> tuple[str | None, LogLevel | None, int | None]:
    try:
        body: Any = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise bad_request("invalid_json", f"the body is not JSON: {error}") from error
    if not isinstance(body, dict) or "level" not in body or not body.keys() <= _FIELDS:
        raise bad_request("invalid_body", "the body takes level (required), logger, for_seconds")
    return _logger(body.get("logger")), _level(body["level"]), _seconds(body.get("for_seconds"))


def _logger(name: Any) -> str | None:
    if name is None or (isinstance(name, str) and LOGGER_NAME.fullmatch(name)):
        return name
    raise bad_request("invalid_logger", "logger must be a dotted name such as sidecar.follower")


def _level(text: Any) -> LogLevel | None:
    try:
        return None if text is None else LogLevel(str(text).upper())
    except ValueError:
        names = ", ".join(level.value.lower() for level in LogLevel)
        raise bad_request("invalid_log_level", f"level must be one of {names}, or null for LOG_LEVEL") from None


def _seconds(seconds: Any) -> int | None:
    if seconds is None or (type(seconds) is int and 1 <= seconds <= MOST_SECONDS):
        return seconds
    raise bad_request("invalid_body", f"for_seconds must be a whole number from 1 to {MOST_SECONDS}")
