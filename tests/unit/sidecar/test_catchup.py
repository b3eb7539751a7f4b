"""Filling a gap from the writer."""

from common.clock import SystemClock
from common.identifiers import ProjectId
from common.position import Position
from common.transfer import ChangesPage
from common.wire import Heartbeat
from sidecar import catchup
from sidecar.catchup import Filled, fill_from_origin
from sidecar.replica import Copy
from tests.support.history import PROJECT, History, grant


class Origin:
    """Gives changes two at a time, and says that its head is `beyond` what it has."""

    def __init__(self, history: History, beyond: int = 0) -> None:
        self._history = history
        self._beyond = beyond
        self.asked = 0

    async def changes(self, project: ProjectId, after: Position, wait: float) -> ChangesPage:
        """See `catchup.ChangesOrigin`."""
        self.asked += 1
        page = [c for c in self._history.changes if c.position > after][:2]
        said = self._history.heartbeat(SystemClock().now())
        head = said.head + self._beyond
        return ChangesPage(page, Heartbeat(said.epoch, head, head, said.count, said.digest, said.sent_at))


def five_changes() -> tuple[History, Copy]:
    """A history, and a copy of its beginning."""
    history = History()
    copy = Copy(PROJECT, history.catalogue, history.position)
    for number in range(5):
        history.change(f"user-{number}", grant())
    return history, copy


async def test_a_gap_is_filled_page_by_page() -> None:
    """Until the writer's head."""
    history, copy = five_changes()
    origin = Origin(history)
    assert await fill_from_origin(origin, PROJECT, copy.position, copy.apply, history.position) is Filled.REACHED
    assert (copy.position, copy.digest, origin.asked) == (history.position, history.digest, 3)


async def test_where_too_much_is_missing_a_whole_copy_comes_sooner() -> None:
    """After the first page it is known how much; nobody asks for a hundred thousand revisions one after the other."""
    history, copy = five_changes()
    origin = Origin(history, beyond=catchup.MOST_MISSING + 10)
    assert await fill_from_origin(origin, PROJECT, copy.position, copy.apply, None) is Filled.GONE
    assert origin.asked == 1
