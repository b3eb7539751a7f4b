"""The simulation can fail: each rule of propagation that is broken on purpose is noticed."""

import pytest

from tests.simulation.breaks import BREAKS, SEEN_AT
from tests.simulation.run import caught, told, unbroken

MOST_SEEDS = 2_000


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_rule_is_noticed(name: str) -> None:
    """Within the worlds of some seeds, in one in which everything holds as long as nothing is broken."""
    seeds = range(1, MOST_SEEDS + 1)
    assert set(SEEN_AT[name]) <= set(seeds)
    noticed = caught(name, [*SEEN_AT[name], *seeds])
    assert noticed is not None
    # A break that no longer fits the code that it breaks makes tasks crash, and that is noticed anywhere.
    assert "crashed" not in str(noticed.violation)
    whole = unbroken(name, noticed.plan.seed)
    assert whole.violation is None, told(whole)
