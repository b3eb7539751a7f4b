"""In CI a skipped test is a failed run: nothing goes untested silently."""

import os

import pytest

_skipped = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Start counting."""
    config.stash[_skipped] = []
    config.pluginmanager.register(_SkipCounter(config.stash[_skipped]))


class _SkipCounter:
    def __init__(self, skipped: list[str]) -> None:
        self._skipped = skipped

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skipped.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn an otherwise good run into a failed one."""
    if os.environ.get("CI") and session.config.stash[_skipped] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why the run failed."""
    skipped = config.stash[_skipped]
    if os.environ.get("CI") and skipped:
        terminalreporter.section("skipped tests fail in CI", red=True)
        for node in skipped:
            terminalreporter.line(node)
