"""Which of two sources mends a copy: the one that has come further, whatever else it holds."""

from typing import Any

import pytest

from common.identifiers import ProjectId
from common.position import Position
from sidecar.bootstrap import Loaded
from sidecar.freshness import StalePolicy
from sidecar.metrics import Metrics
from sidecar.project import Project
from sidecar.refusals import Refusals
from sidecar.repair import Needed, Repair
from sidecar.replica import Copy
from sidecar.sources import Live, Source, UnavailableError
from tests.support.history import History

SHOP = ProjectId("shop")


class Sources:
    """A bootstrap that loads what it is told to; `asked` is who was asked."""

    def __init__(self, **positions: Position) -> None:
        self.asked: list[str] = []
        self._positions = positions

    async def load(self, source: Live) -> Loaded:
        """A proven, empty copy."""
        self.asked.append(source.value)
        copy = Copy(SHOP, History().catalogue, self._positions[source.value])
        copy.compare(copy.position, 0, 0)
        return Loaded(copy, source, None)


class Clock:
    """It stands still."""

    def now(self) -> Any:
        """Wall time."""
        return 0

    def monotonic(self) -> float:
        """Seconds."""
        return 0.0


async def mended(held: Position, reason: Needed, sources: Any) -> Position | None:
    """Where a proven copy at `held` stands after a load that began with Redis."""
    project, metrics = Project(SHOP, StalePolicy()), Metrics()
    copy = Copy(SHOP, History().catalogue, held)
    copy.compare(held, 0, 0)
    project.install(copy, Source.WRITER, None, 0.0)
    await Repair(project, sources, None, None, metrics, Refusals(metrics), Clock()).load(reason, Source.REDIS)
    return project.position


async def test_a_new_epoch_is_not_found_where_it_has_not_arrived() -> None:
    """Redis that is not refilled yet still holds the old epoch, proven and as new as ours: the writer is asked."""
    sources = Sources(redis=Position(1, 31), writer=Position(2, 30))
    assert await mended(Position(1, 31), Needed.EPOCH, sources) == (2, 30)
    assert sources.asked == ["redis", "writer"]


async def test_lost_revisions_are_not_found_where_they_have_not_arrived() -> None:
    """A Redis that stands where we stand does not have what we miss."""
    sources = Sources(redis=Position(1, 31), writer=Position(1, 40))
    assert await mended(Position(1, 31), Needed.LOST, sources) == (1, 40)


async def test_where_nobody_has_come_further_a_load_has_failed() -> None:
    """So that it is tried again, and the copy in use stays."""
    sources = Sources(redis=Position(1, 31), writer=Position(1, 31))
    with pytest.raises(UnavailableError, match="has not come further"):
        await mended(Position(1, 31), Needed.EPOCH, sources)
