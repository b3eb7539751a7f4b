"""What the local stack's own tests share."""

import os
import socket
from collections.abc import Iterator

import pytest

from sandbox import postgres, postgres_data, redis
from sandbox.identity import Identity, server_identity


def _possible() -> list[Identity]:
    """Every way to run servers that this machine allows; only root has a choice."""
    if os.geteuid() != 0:
        return [Identity.SAME]
    return [server_identity(), Identity.DROP] if server_identity() is Identity.NAMESPACE else [Identity.DROP]


@pytest.fixture(params=_possible(), ids=str)
def identity(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Identity:
    """Servers run with this identity."""
    chosen: Identity = request.param
    for module in (postgres, postgres_data, redis):
        monkeypatch.setattr(module, "server_identity", lambda: chosen)
    return chosen


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
