"""The short form of `make chaos`: every kind of fault once, several at a time, on real processes."""

from pathlib import Path

import pytest
import uvloop

from tests.chaos.faults import KINDS
from tests.chaos.report import table
from tests.chaos.season import SeasonConfig, play

SEED = 7


@pytest.mark.timeout(600)
def test_whatever_breaks_every_answer_is_what_postgres_held_and_everything_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No untrue answer, no question unanswered, no acknowledged event lost; in the end all copies are equal."""
    config = SeasonConfig(SEED, tmp_path, together=4, lasts=(0.3, 1.5), calm=0.0, age_slack=15.0)
    outcome = uvloop.run(play(config, print))
    assert not outcome.violations, f"python -m tests.chaos --minutes 0 --seed {SEED}\n{table(outcome)}"
    assert set(outcome.faults) == {fault.name for fault in KINDS}
    assert outcome.observed.checked > outcome.observed.asked / 2
    assert outcome.observed.stale < outcome.observed.checked
