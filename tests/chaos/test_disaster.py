"""The short form of `make disaster`: the database is lost twice, and everything comes back."""

from pathlib import Path

import pytest
import uvloop

from tests.chaos.disaster import WAYS, DisasterConfig, play

SEED = 11


@pytest.mark.timeout(300)
def test_a_lost_database_comes_back_from_its_backup_and_from_stripe(tmp_path: Path) -> None:
    """Restored by our command and by plain psql: in the end entitlements are what Stripe and the grants left say."""
    after = uvloop.run(play(DisasterConfig(SEED, tmp_path)))
    assert not after.wrong, f"python -m tests.chaos.disaster --acts 6 --seed {SEED}\n" + "\n".join(after.wrong)
    assert set(after.recoveries) == set(WAYS)
    assert after.lost > 0
