"""What the streams' tests share."""

import pytest

from sidecar import stream as streams
from tests.support.streams import listening

__all__ = ["listening"]


@pytest.fixture(autouse=True)
def _no_look_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life are far apart: what is heard was woken by what happened."""
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 3_600.0)
