"""Many sidecars lose Redis in the same moment, and have it back in the same moment."""

from pathlib import Path

import pytest

from benchmarks import herd
from sandbox.stack import Stack, StackConfig

pytestmark = pytest.mark.timeout(180)

SIDECARS = 60


async def test_a_herd_goes_on_by_the_writer_and_comes_back_without_loading_anew(tmp_path: Path) -> None:
    """All follow the writer while Redis is away, all follow Redis once it is back; nobody loads a whole copy for it.

    Nor does the herd storm Redis: each opens a few connections, not one after the other.
    """
    async with Stack(StackConfig(tmp_path / "logs")) as stack:
        chapter = await herd.measure(stack, herd.Size(SIDECARS, users=50, away=0.5))
    seen = {figure.what: figure.measured or 0 for figure in chapter.figures}
    assert seen["copies loaded anew, of all"] == 0
    assert SIDECARS <= seen["new connections to Redis in the busiest second"] <= 4 * SIDECARS
