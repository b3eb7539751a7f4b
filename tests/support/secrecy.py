"""No secret in any log of the suite: what is logged in this process, and every log file that its processes wrote.

Records are looked at as they are, before a formatter could make up for a mistake. A test during which a secret was
logged fails; a file in which one stands fails the run.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

_SECRET: Final = re.compile(
    rb"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]\w*"  # Stripe's keys
    rb"|\bwhsec_[A-Za-z0-9]\w*"
    rb"|\bbk_[0-9a-f]{64}"  # a project's key
    rb"|\badmin_[0-9a-f]{32}|\badmin[_-]key[_-]\w[\w-]*|\badmin_lives"  # admin keys, as the tests choose them
    rb"|\bpassword-of-[\w-]+|\bhidden-[\w-]+|collectors-own-key-\w+"
    rb"|://[^\s/@:'\"]*:(?!\*\*\*)[^\s/@'\"]+@"  # a password in a URL
    rb"|[Bb]earer (?!KEY\b)[\w.~+/-]{8,}"
)

_found = pytest.StashKey[list[str]]()


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret, and where it was found; it is not shown itself."""

    where: str
    secret: bytes

    def __str__(self) -> str:
        return f"{self.where}: {self.secret[:6].decode(errors='replace')}…"


def leaks_in(text: bytes, where: str) -> Iterator[Leak]:
    """Everything in `text` that looks like a secret of ours."""
    for match in _SECRET.finditer(text):
        yield Leak(where, match[0])


def leaks_under(folder: Path) -> Iterator[Leak]:
    """Everything like that in the log files of a folder."""
    for path in sorted(folder.rglob("*.log")):
        if path.is_file():
            yield from leaks_in(path.read_bytes(), str(path))


class Listener(logging.Handler):
    """Hears every record of this process."""

    def __init__(self) -> None:
        super().__init__()
        self.leaks: list[Leak] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Look at what is said, and at the error that is told with it."""
        said = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            said = f"{said}\n{_told(record.exc_info[1])}"
        self.leaks += leaks_in(said.encode(errors="replace"), record.name)

    def taken(self) -> list[Leak]:
        """What was found since the last time."""
        found, self.leaks = self.leaks, []
        return found


def _told(error: BaseException | None) -> str:
    """An error and all that led to it, as a traceback shows them."""
    return "" if error is None else f"{type(error).__name__}: {error}\n{_told(error.__cause__ or error.__context__)}"


listener: Final = Listener()


def pytest_configure(config: pytest.Config) -> None:
    """Listen from now on."""
    config.stash[_found] = []
    logging.getLogger().addHandler(listener)
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_OfWorkers(config.stash[_found]))


@pytest.fixture(autouse=True)
def nothing_secret_is_logged() -> Iterator[None]:
    """Fail a test during which a secret was logged."""
    yield
    found = listener.taken()
    if found:
        pytest.fail(f"logged though secret: {'; '.join(map(str, found))}", pytrace=False)


class _OfWorkers:
    """What workers found in their own folders."""

    def __init__(self, found: list[str]) -> None:
        self._found = found

    def pytest_testnodedown(self, node: Any) -> None:
        self._found += getattr(node, "workeroutput", {}).get("leaks", [])


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look through all that was written, and turn an otherwise good run into a failed one."""
    config = session.config
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    output = getattr(config, "workeroutput", None)
    distributes = config.getoption("numprocesses", None)
    if factory._basetemp is not None and not distributes:
        config.stash[_found] += sorted({str(leak) for leak in leaks_under(factory._basetemp)})
    if output is not None:
        output["leaks"] = config.stash[_found]
    elif config.stash[_found] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why the run failed."""
    found = config.stash[_found]
    if found:
        terminalreporter.section("secrets in log files", red=True)
        for leak in found:
            terminalreporter.line(leak)
