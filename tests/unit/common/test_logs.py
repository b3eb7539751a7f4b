"""Log lines: one for each event, and no secret in any."""

import logging
from collections.abc import Callable, Iterator

import pytest

from common.logs import LogFormat, LogLevel, configure


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Log an error as a process of ours does; gives what was written."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def say(words: str, *parts: object, error: Exception | None = None) -> str:
        configure(LogLevel.INFO, LogFormat.TEXT)
        logging.getLogger("writer").error(words, *parts, exc_info=error)
        return capsys.readouterr().out

    yield say
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("sign", ["\n", "\r", "\x1b", "\0", "\x85", "\u2028", "\ud800"])
def test_what_comes_from_outside_stays_in_its_line(log: Callable[..., str], sign: str) -> None:
    """Nobody can forge a second line, or steer the terminal of who reads it."""
    out = log("webhook ignored type=%s event=%s", f"a{sign}ERROR forged", "evt_1")
    assert out.count("\n") == 1
    assert sign not in out.removesuffix("\n")
    assert f"type=a{ascii(sign)[1:-1]}ERROR forged event=evt_1" in out


def test_a_trace_keeps_its_lines(log: Callable[..., str]) -> None:
    """Where a crash is logged, people read the trace."""
    try:
        int("nonsense")
    except ValueError as error:
        out = log("crashed", error=error)
    assert "ERROR writer crashed\nTraceback (most recent call last):\n" in out
    assert out.endswith("'nonsense'\n")


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        ("key sk_live_abcDEF123 was refused", "abcDEF123"),
        ("signed with whsec_a+/b= twice", "a+/b="),
        ("postgresql://billing_user:p%40ss@db/billing is away", "p%40ss"),
        ("Authorization: Bearer anything-at-all", "anything-at-all"),
        (f"app sent bk_{'0a' * 32}", "0a0a"),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(log: Callable[..., str], said: str, secret: str) -> None:
    """Neither in the words nor in the exception that is logged with them."""
    out = log("failed: %s", said, error=ValueError(said))
    assert secret not in out
    assert out.count("***") == 2
