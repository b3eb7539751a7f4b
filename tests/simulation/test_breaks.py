"""The simulation can fail: each rule of propagation that is broken on purpose is noticed."""

import pytest

from tests.simulation.breaks import BREAKS
from tests.simulation.run import caught

MOST_SEEDS = 2_000


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_rule_is_noticed(name: str) -> None:
    """Within some worlds; the first one in which something does not hold ends the search."""
    assert caught(name, range(1, MOST_SEEDS + 1)) is not None
