"""Log lines on stdout, one event a line: JSON for machines, or text for a terminal.

Code says `_log.info("event applied type=%s revisions=%d", …)`: the words are the message, and each `name=%…` is a
fact. What runs on a trail (`common.trail`) says so in each line.
"""

import logging
import re
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import orjson

from common.trail import Trail, current


class LogLevel(StrEnum):
    """`LOG_LEVEL`: what is logged, as the operations guide names the levels."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogFormat(StrEnum):
    """`LOG_FORMAT`: what a line looks like."""

    AUTO = "auto"
    """Text on a terminal, else JSON."""
    JSON = "json"
    TEXT = "text"


_SECRETS: Final = re.compile(
    r"\b(?:sk|rk)_(?:live|test)_\w+|\bwhsec_[\w+/=]+|\bbk_[0-9a-f]{64}"
    r"|(?<=://)[^\s/@]*:[^\s/@]*(?=@)|(?<=[Bb]earer )\S+"
)

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_JSON: Final = re.compile(r"[\ud800-\udfff]")

_PLACE: Final = re.compile(r"(?:(?P<key>[A-Za-z_]\w*)=)?%[#0 +-]*\d*(?:\.\d+)?(?P<kind>[diouxXeEfFgGcrsa%])")
_MOST: Final = 2**53
"""Beyond this, readers of JSON lose digits of a number."""
_OURS: Final = frozenset({"time", "level", "logger", "message", "trace"})

QUIET: Final = ("aiohttp.access", "stripe", "asyncio", "alembic.runtime.plugins", "urllib3")
"""Libraries whose own news are not the operator's."""


def _escaped(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]


def _clean(text: str) -> str:
    # A driver's exception may carry a connection URL: what looks like a secret never reaches the stream.
    return _SECRETS.sub("***", text)


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{record.msecs:03.0f}Z"


class _Text(logging.Formatter):
    """`time level logger words name=value…`."""

    def formatTime(self, record: logging.LogRecord, _: str | None = None) -> str:  # noqa: N802 - logging's name
        return _time(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        said = str(record.msg)
        followed = "".join(f" {name}={value}" for name, value in _followed(current()) if f"{name}=" not in said)
        # One event is one line: what comes from outside can neither begin another nor steer a terminal.
        return _CONTROL.sub(_escaped, super().formatMessage(record) + followed)

    def format(self, record: logging.LogRecord) -> str:
        return _clean(super().format(record))


class _Json(logging.Formatter):
    """One object a line: `time`, `level`, `logger`, `message`, and the facts, each by its name; `trace` of an error."""

    def format(self, record: logging.LogRecord) -> str:
        words, facts = _taken_apart(record)
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _told(words),
        }
        line |= {name: _told(value) for name, value in facts if value is not None}
        line |= {name: value for name, value in _followed(current()) if name not in line}
        if record.exc_info:
            line["trace"] = _told(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()


def configure(level: LogLevel, form: LogFormat = LogFormat.AUTO) -> None:
    """Send every logger of this process to stdout at `level`."""
    handler = logging.StreamHandler(sys.stdout)
    as_text = form is LogFormat.TEXT or (form is LogFormat.AUTO and sys.stdout.isatty())
    shown = "%(asctime)s %(levelname)s %(name)s %(message)s"
    handler.setFormatter(_Text(shown) if as_text else _Json())
    logging.basicConfig(level=level.value, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.value)))


def configure_command() -> None:
    """Send warnings to stderr, in words only: for a command, whose stdout is its answer."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _followed(trail: Trail) -> Iterator[tuple[str, str]]:
    for name in ("request_id", "event_id", "trace_id"):
        value: str | None = getattr(trail, name)
        if value is not None:
            yield name, value


def _taken_apart(record: logging.LogRecord) -> tuple[str, list[tuple[str, Any]]]:
    """The message without its facts, and the facts."""
    if not isinstance(record.args, tuple) or not isinstance(record.msg, str):
        return record.getMessage(), []
    words, keys = _form(record.msg)
    if len(keys) != len(record.args):
        return record.getMessage(), []
    facts = [(key, value) for key, value in zip(keys, record.args, strict=True) if key is not None]
    rest = tuple(value for key, value in zip(keys, record.args, strict=True) if key is None)
    return words % rest if rest else words.replace("%%", "%"), facts


@lru_cache(1_000)
def _form(text: str) -> tuple[str, tuple[str | None, ...]]:
    """A format without its `name=%…`; and for each value that it takes the name, None where it is among the words."""
    keys: list[str | None] = []

    def without(found: re.Match[str]) -> str:
        if found["kind"] == "%":
            return found[0]
        key = found["key"]
        keys.append(f"{key}_" if key in _OURS else key)
        return found[0] if key is None else ""

    words = re.sub(r"\s+(?=[;,.:]|\s|$)", "", _PLACE.sub(without, text)).strip()
    return words, tuple(keys)


def _told(value: Any) -> Any:
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < _MOST):
        return value
    return _NOT_JSON.sub(_escaped, _clean(str(value)))
