"""What the tests of protocols share: a sidecar in step."""

from tests.support.sidecars import heart, publisher, running_sidecar, start_sidecar, writer

__all__ = ["heart", "publisher", "running_sidecar", "start_sidecar", "writer"]
