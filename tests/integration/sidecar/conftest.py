"""What the sidecar's tests may ask for."""

from tests.support.sidecars import heart, history, publisher, running_sidecar, start_sidecar, writer

__all__ = ["heart", "history", "publisher", "running_sidecar", "start_sidecar", "writer"]
