"""Whatever happens between writer and sidecar: what must always hold does, and afterwards all is as Postgres has it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.plan import Fault, idle, plan
from tests.simulation.run import Total, outcomes, told
from tests.simulation.world import World

SEEDS = 500
BLOCK = 25
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(1, SEEDS + 1, BLOCK))
def test_nothing_that_must_hold_is_broken(first: int) -> None:
    """Invariants 4 to 11 after every step of a world with faults, and recovery within three heartbeats."""
    total = Total()
    for outcome in outcomes(range(first, first + BLOCK)):
        assert outcome.violation is None, told(outcome)
        total.add(outcome)
    assert total.revisions > BLOCK
    assert total.answers > BLOCK


def test_what_was_missed_is_found_without_a_later_change() -> None:
    """Where little changes and the change log is lost, heartbeats alone lead every sidecar to the head."""
    for outcome in outcomes(range(1, BLOCK + 1), idle):
        assert outcome.violation is None, told(outcome)


def test_every_fault_is_planned_often() -> None:
    """No fault is left out by the draw: of each there are some among the worlds of the suite."""
    planned = [one.fault for seed in range(1, SEEDS + 1) for one in plan(seed).faults]
    assert {fault: planned.count(fault) >= 10 for fault in Fault} == dict.fromkeys(Fault, True)


@pytest.mark.parametrize("seed", [3, 8])
def test_a_seed_replays_exactly(seed: int) -> None:
    """In another process, where texts hash otherwise and objects lie elsewhere, every event comes again."""
    program = (
        f"from tests.simulation.run import outcomes; print([(o.hash, o.steps) for o in outcomes([{seed}, {seed}])])"
    )
    here = World(plan(seed)).run()
    for hash_seed in ("1", "77"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.stdout.strip() == str([(here.hash, here.steps)] * 2)
