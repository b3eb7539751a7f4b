"""What the sidecar's tests may ask for."""

from tests.support.sidecars import heart, history, publisher, start_sidecar, writer

__all__ = ["heart", "history", "publisher", "start_sidecar", "writer"]
