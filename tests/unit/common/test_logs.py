"""Log lines: one for each event, and no secret in any."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest

from common.logs import LogFormat, LogLevel, configure
from common.trail import Trail, followed


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., dict[str, object]]]:
    """The same as JSON; gives the object."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def say(words: str, *parts: object, error: Exception | None = None) -> dict[str, object]:
        configure(LogLevel.INFO, LogFormat.JSON)
        logging.getLogger("writer").error(words, *parts, exc_info=error)
        out = capsys.readouterr().out
        assert out.count("\n") == 1
        found: dict[str, object] = json.loads(out)
        return found

    yield say
    root.handlers[:] = handlers
    root.setLevel(level)


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


@pytest.mark.parametrize(
    ("said", "message", "facts"),
    [
        (("event %s type=%s revisions=%d", "applied", "a.b", 2), "event applied", {"type": "a.b", "revisions": 2}),
        (
            ("differs project=%s why=%r; again", "shop", "it \u2028 is"),
            "differs; again",
            {"project": "shop", "why": "it \u2028 is"},
        ),
        (("%s is away error=%s: %s", "Redis", "OSError", "gone"), "Redis is away: gone", {"error": "OSError"}),
        (("took seconds=%.1f object=%s", 0.25, None), "took", {"seconds": 0.25}),
        (("100 %% of it level=%s", "all"), "100 % of it", {"level_": "all"}),
        (("plain words, a=b",), "plain words, a=b", {}),
        (("huge=%d \ud800 lone=%s", 2**64, "\ud800"), "\\ud800", {"huge": str(2**64), "lone": "\\ud800"}),
    ],
)
def test_facts_are_members_of_the_object(
    told: Callable[..., dict[str, object]], said: tuple[object, ...], message: str, facts: dict[str, object]
) -> None:
    """Words are the message, each `name=%…` a member with its own type; what is unknown is left out."""
    line = told(*said)
    assert (line.pop("level"), line.pop("logger"), line.pop("message")) == ("error", "writer", message)
    assert str(line.pop("time")).endswith("Z")
    assert line == facts


def test_a_line_says_on_whose_trail_it_is(told: Callable[..., dict[str, object]], log: Callable[..., str]) -> None:
    """The trail's ids stand in each line, once."""
    trail = Trail("req-1", "evt_1", f"00-{'a' * 32}-{'b' * 16}-01")
    with followed(trail):
        line, text = told("said event_id=%s", "evt_1"), log("said event_id=%s", "evt_1")
    assert {name: line[name] for name in ("request_id", "event_id", "trace_id")} == {
        "request_id": "req-1", "event_id": "evt_1", "trace_id": "a" * 32,
    }  # fmt: skip
    assert text.endswith(f"said event_id=evt_1 request_id=req-1 trace_id={'a' * 32}\n")


def test_an_object_holds_no_secret(told: Callable[..., dict[str, object]]) -> None:
    """Neither its message, nor a fact, nor the trace of an error; and it stays one object."""
    url = "postgresql://user:hidden@db/billing"
    line = told("%s failed url=%s next=%s", url, url, "a@b", error=ValueError(url))
    assert "hidden" not in str(line)
    assert line["next"] == "a@b"
    assert "Traceback" not in str(line["message"])
    assert str(line["trace"]).endswith("ValueError: postgresql://***@db/billing")
