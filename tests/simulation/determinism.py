"""All that is drawn elsewhere than from a world's own generators, drawn from its seed for as long as it runs."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest

from common import background
from sidecar.turns import Turns
from writer import supervision
from writer.relay import lease, project_station, refill

if TYPE_CHECKING:
    from tests.simulation.oracle import Oracle

_TURNS_OVER: Final = 0.05
_KEEP_SECONDS: Final = 3.0
_KEEP_ENTRIES: Final = 20


@contextmanager
def drawn_from(seed: int, oracle: "Oracle") -> Iterator[None]:
    """Identifiers, jitter, and when work gives others their turn; a crash of a background task is a violation.

    Outboxes are trimmed after seconds instead of days, so that a short life sees it.
    """
    rng = Random(f"elsewhere {seed}")
    state = random.getstate()
    with pytest.MonkeyPatch.context() as patch:
        for module in (lease, refill):
            patch.setattr(module, "uuid4", lambda: UUID(int=rng.getrandbits(128)))
        patch.setattr(Turns, "over", lambda _: rng.random() < _TURNS_OVER)
        patch.setattr(project_station, "KEEP_SECONDS", _KEEP_SECONDS)
        patch.setattr(project_station, "KEEP_ENTRIES", _KEEP_ENTRIES)
        patch.setattr(background, "_log", _Alarm(oracle))
        supervision.SPREAD.seed(f"spread {seed}")
        random.seed(f"global {seed}")
        disabled = logging.root.manager.disable
        logging.disable(max(disabled, logging.ERROR))
        try:
            yield
        finally:
            logging.disable(disabled)
            random.setstate(state)


class _Alarm:
    """Stands in for the log of `common.background`."""

    def __init__(self, oracle: "Oracle") -> None:
        self._oracle = oracle

    def exception(self, text: str, *values: Any) -> None:
        """A task crashed."""
        import sys  # noqa: PLC0415

        error = sys.exc_info()[1]
        self._oracle.fail(f"{text % values}: {type(error).__name__}: {error}")
