"""`make demo`: the main job with real processes."""

import signal
from pathlib import Path

import pytest

from tests.support.commands import Command, family, until_gone


@pytest.mark.timeout(180)
async def test_the_demo_is_right_from_the_first_line_to_the_last(tmp_path: Path) -> None:
    """Every answer is right: exit status 0, nothing failed, and the median of a hundred purchases is told."""
    demo = Command(tmp_path / "output.txt", "sandbox.demo")
    try:
        await demo.start("Starting the stack")
        assert await demo.ended(timeout_s=150) == 0, demo.text
    finally:
        await demo.close()
    assert "FAIL" not in demo.text
    assert "median" in demo.text
    assert max(map(len, demo.text.splitlines())) <= 80


async def test_an_interrupted_demo_leaves_no_process(tmp_path: Path) -> None:
    """Ctrl-C in the middle of starting: everything is stopped, and the exit status tells it."""
    demo = Command(tmp_path / "output.txt", "sandbox.demo")
    try:
        await demo.start("up: postgres")
        everybody = family(demo.process.pid)
        assert len(everybody) > 2
        assert await demo.end(signal.SIGINT) == 128 + signal.SIGINT
    finally:
        await demo.close()
    await until_gone(everybody)
