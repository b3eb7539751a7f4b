"""How far long work is, where no terminal is."""

import pytest

from writer.cli import progress


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first word at once, then one each ten seconds however often it is told; brackets are no markup."""
    now = 0.0
    monkeypatch.setattr("writer.cli.progress.time.monotonic", lambda: now)
    with progress.progress(quiet=False) as show:
        for step in range(50):
            now = step / 2
            show(f"run 1 [sub_{step}]", step, 50)
    assert capsys.readouterr().err.splitlines() == [
        "run 1 [sub_0]  0 of 50", "run 1 [sub_20]  20 of 50", "run 1 [sub_40]  40 of 50",
    ]  # fmt: skip


def test_a_program_that_wants_json_gets_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Quiet is quiet."""
    with progress.progress(quiet=True) as show:
        show("run 1", None, None)
    assert capsys.readouterr().err == ""
