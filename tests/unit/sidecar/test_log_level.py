"""Who may change how much a sidecar logs, and what becomes of the loggers."""

import logging
from collections.abc import Iterator

import pytest

from common.log_levels import LogLevels
from common.logs import LogLevel
from sidecar.log_level import _is_local


@pytest.mark.parametrize(
    ("remote", "local"),
    [
        ("127.0.0.1", True), ("127.0.0.7", True), ("::1", True), ("::ffff:127.0.0.1", True), ("", True), (None, True),
        ("10.0.0.1", False), ("::ffff:10.0.0.1", False), ("fe80::1%eth0", False), ("2001:db8::1", False),
    ],
)  # fmt: skip
def test_only_its_own_machine_is_near(remote: str | None, *, local: bool) -> None:
    """Loopback in either notation, and a unix socket."""
    assert _is_local(remote) is local


@pytest.fixture
def loggers() -> Iterator[tuple[logging.Logger, logging.Logger]]:
    """Two loggers of nobody's, one with a level of its own."""
    plain, quiet = logging.getLogger("nobodys.plain"), logging.getLogger("nobodys.quiet")
    quiet.setLevel(logging.ERROR)
    yield plain, quiet
    plain.setLevel(logging.NOTSET)


def test_a_level_that_is_no_more_asked_for_is_as_it_was(loggers: tuple[logging.Logger, logging.Logger]) -> None:
    """However often it was changed meanwhile; what was asked for again changes nothing."""
    plain, quiet = loggers
    levels = LogLevels()
    assert levels.apply({"nobodys.plain": LogLevel.DEBUG, "nobodys.quiet": LogLevel.DEBUG})
    assert levels.apply({"nobodys.plain": LogLevel.INFO, "nobodys.quiet": LogLevel.DEBUG})
    assert not levels.apply({"nobodys.plain": LogLevel.INFO, "nobodys.quiet": LogLevel.DEBUG})
    assert (plain.level, quiet.level) == (logging.INFO, logging.DEBUG)
    assert levels.apply({})
    assert (plain.level, quiet.level) == (logging.NOTSET, logging.ERROR)
