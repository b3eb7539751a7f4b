"""The demo's voice: every line says what was found, and a wrong answer ends the demo."""

import textwrap
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

WIDTH: Final = 78
GREEN, RED, BOLD, DIM, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_MISSING: Final = object()


class WrongAnswerError(Exception):
    """Something answered otherwise than it must; it was reported already."""


class Report:
    """Writes to `out`, with colours where that is a terminal. Begins to count time when it is made."""

    def __init__(self, out: TextIO) -> None:
        self.lines = 0
        """How many lines were checked and right."""
        self._out = out
        self._colours = out.isatty()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the report began."""
        return time.monotonic() - self._began

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        self._write("")
        self._write(title, BOLD)

    def note(self, text: str) -> None:
        """Something to know; nothing is checked."""
        for line in textwrap.wrap(text, WIDTH - 5):
            self._write(f"     {line}", DIM)

    def expect(self, text: str, found: Mapping[str, Any], /, **wanted: Any) -> None:
        """One line of the story: every part named in `wanted` must be in `found` with that value.

        Raises:
            WrongAnswerError: it is not; the differences and the whole answer were printed.
        """
        wrong = {
            name: (value, found.get(name, _MISSING))
            for name, value in wanted.items()
            if not _same(found.get(name, _MISSING), value)
        }
        if wrong:
            differences = [
                f"{name}: {'missing' if had is _MISSING else repr(had)}, expected {value!r}"
                for name, (value, had) in wrong.items()
            ]
            self._fail(text, [*differences, f"the whole answer: {dict(found)}"])
        self._ok(text)

    def require(self, text: str, holds: bool, details: str) -> None:
        """One line of the story that is true or not; `details` are shown where it is not."""
        if not holds:
            self._fail(text, [details])
        self._ok(text)

    def failure(self, text: str, details: str) -> None:
        """The demo could not go on."""
        self._shown("FAIL", text, RED)
        for line in details.splitlines():
            self._write(f"     {line}", RED)

    def _ok(self, text: str) -> None:
        self.lines += 1
        self._shown("  ok", text, GREEN)

    def _fail(self, text: str, details: list[str]) -> None:
        self._shown("FAIL", text, RED)
        for detail in details:
            for line in textwrap.wrap(detail, WIDTH - 7, break_on_hyphens=False):
                self._write(f"       {line}", RED)
        raise WrongAnswerError(text)

    def _shown(self, mark: str, text: str, colour: str) -> None:
        first, *rest = textwrap.wrap(text, WIDTH - 5, break_on_hyphens=False)
        coloured = f"{colour}{mark}{PLAIN}" if self._colours else mark
        whole = RED if colour is RED else ""
        self._write(f"{coloured} {self._painted(first, whole)}")
        for line in rest:
            self._write(f"     {line}", whole)

    def _write(self, text: str, colour: str = "") -> None:
        print(self._painted(text, colour), file=self._out, flush=True)

    def _painted(self, text: str, colour: str) -> str:
        return f"{colour}{text}{PLAIN}" if colour and self._colours and text else text


def _same(found: Any, wanted: Any) -> bool:
    # True == 1 in Python; in an answer they are different things.
    return type(found) is type(wanted) and bool(found == wanted)
