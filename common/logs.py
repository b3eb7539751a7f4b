"""Log lines on stdout: time, level, logger, words. One event a line, facts as `key=value`."""

import logging
import re
import sys
import time
from enum import StrEnum
from typing import Final


class LogLevel(StrEnum):
    """`LOG_LEVEL`: what is logged, as the operations guide names the levels."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


_SECRETS: Final = re.compile(
    r"\b(?:sk|rk)_(?:live|test)_\w+|\bwhsec_[\w+/=]+|\bbk_[0-9a-f]{64}"
    r"|(?<=://)[^\s/@]*:[^\s/@]*(?=@)|(?<=[Bb]earer )\S+"
)

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _escaped(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]


class _Line(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        # One event is one line: what comes from outside can neither begin another nor steer a terminal.
        return _CONTROL.sub(_escaped, super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        # A driver's exception may carry a connection URL: what looks like a secret never reaches the stream.
        return _SECRETS.sub("***", super().format(record))


def configure(level: LogLevel) -> None:
    """Send every logger of this process to stdout at `level`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Line())
    logging.basicConfig(level=level.value, handlers=[handler], force=True)
    # The libraries' own news are not the operator's.
    for name in ("aiohttp.access", "stripe", "asyncio", "alembic.runtime.plugins"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.value)))
