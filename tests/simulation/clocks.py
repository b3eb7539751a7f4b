"""A process's clocks, as the product asks for them."""

from common.clock import Instant
from tests.simulation.loop import VirtualLoop
from tests.simulation.processes import Process


class ProcessClock:
    """A process's clocks, as `common.clock.Clock`."""

    def __init__(self, loop: VirtualLoop, process: Process) -> None:
        self._loop = loop
        self._process = process

    def now(self) -> Instant:
        """Wall time."""
        return self._loop.wall(self._process)

    def monotonic(self) -> float:
        """Seconds since it booted."""
        return self._process.monotonic(self._loop.now)
