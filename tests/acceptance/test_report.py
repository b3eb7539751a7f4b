"""The demo's checks: a wrong answer is shown and ends the demo, a right one is one line."""

import io
import signal
from collections.abc import Coroutine
from typing import Any

import pytest

from sandbox.demo import __main__ as demo
from sandbox.demo.cancellation import Sample
from sandbox.demo.report import Report, WrongAnswerError
from sandbox.interrupt import Interrupted
from sandbox.propagation import percentile

ANSWER = {"allowed": True, "value": 3, "valid_to": None}


class Terminal(io.StringIO):
    """An output that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_a_right_answer_is_one_plain_line() -> None:
    """What is right is told in a line without colours when the output is no terminal."""
    out = io.StringIO()
    report = Report(out)
    report.expect("ada may export", ANSWER, allowed=True, valid_to=None)
    assert out.getvalue() == "  ok ada may export\n"
    assert report.lines == 1


@pytest.mark.parametrize(
    "wanted",
    [{"allowed": False}, {"value": True}, {"value": 4}, {"source": None}, {"valid_to": "2026-01-01T00:00:00Z"}],
    ids=str,
)
def test_a_wrong_answer_ends_the_demo(wanted: dict[str, object]) -> None:
    """Another value, another type and a missing part are wrong; the difference and the answer are shown."""
    out = io.StringIO()
    report = Report(out)
    with pytest.raises(WrongAnswerError):
        report.expect("a line", ANSWER, **wanted)
    assert out.getvalue().startswith("FAIL a line\n")
    assert next(iter(wanted)) in out.getvalue()
    assert "the whole answer: {'allowed': True" in out.getvalue()
    assert report.lines == 0


def test_a_requirement_that_does_not_hold_ends_the_demo() -> None:
    """What is required and not so is shown with its details."""
    out = io.StringIO()
    with pytest.raises(WrongAnswerError):
        Report(out).require("all is whole", holds=False, details="two keys are missing")
    assert out.getvalue() == "FAIL all is whole\n       two keys are missing\n"


def test_failures_are_red_on_a_terminal() -> None:
    """Colours are for terminals: green for what is right, red for what is not."""
    out = Terminal()
    report = Report(out)
    report.require("right", holds=True, details="")
    with pytest.raises(WrongAnswerError):
        report.require("wrong", holds=False, details="why")
    right, wrong = out.getvalue().splitlines()[:2]
    assert "\x1b[32m" in right
    assert "\x1b[31m" in wrong


def test_lines_fit_eighty_columns() -> None:
    """Long sentences and long answers are broken before the eightieth column."""
    out = io.StringIO()
    report = Report(out)
    report.note("words " * 60)
    report.require("words " * 60, holds=True, details="")
    with pytest.raises(WrongAnswerError):
        report.expect("words " * 60, {"text": "words " * 60}, text="others " * 60)
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_the_demo_exits_with_status_one_after_a_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong answer anywhere in the story is the program's exit status."""

    async def story(report: Report) -> int:
        report.expect("a line", {"allowed": False}, allowed=True)
        return 0

    monkeypatch.setattr(demo, "_demo", story)
    assert demo.main() == 1


def test_the_demo_tells_which_signal_ended_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C the exit status is the shell's usual one."""

    def interrupted(work: Coroutine[Any, Any, int]) -> int:
        work.close()
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(demo, "run", interrupted)
    assert demo.main() == 130


@pytest.mark.parametrize(
    ("asked", "here", "allowed", "right"),
    [
        (1.0, 1.1, True, True),
        (1.0, 1.1, False, False),
        (5.0, 5.1, False, True),
        (5.0, 5.1, True, False),
        (4.9, 5.1, True, True),
        (4.9, 5.1, False, True),
    ],
)
def test_an_answer_is_judged_by_when_it_was_given(asked: float, here: float, *, allowed: bool, right: bool) -> None:
    """Before the end only allowed is right, from the end on only denied; while it passes both are."""
    assert Sample(asked, {"allowed": allowed}, here).right(5) is right


def test_percentiles_are_values_that_occurred() -> None:
    """The nearest rank: of a hundred values the median is the fiftieth."""
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (50, 90, 99, 100)] == [50, 90, 99, 100]
    assert percentile([7.0], 50) == 7.0
