"""Messages and documents that cannot be read: counted each time, logged once a kind."""

import logging

from common.identifiers import ProjectId
from common.wire import FutureVersionError
from sidecar.metrics import Metrics
from sidecar.sources import SourceError

_log = logging.getLogger(__name__)


class Refusals:
    """Notes what was refused. What was refused is repaired as a gap, by whoever finds the gap."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seen: set[tuple[ProjectId, str]] = set()

    def note(self, project: ProjectId, where: str, error: Exception) -> None:
        """`where`: channel, log, documents, changes, cache, snapshot. What a source's error was made of is told."""
        if isinstance(error, SourceError) and isinstance(error.__cause__, Exception):
            error = error.__cause__
        kind = f"{where}_future_version" if isinstance(error, FutureVersionError) else f"{where}_unreadable"
        self._metrics.refused.labels(project, kind).inc()
        if (project, kind) not in self._seen:
            self._seen.add((project, kind))
            _log.error("refused project=%s kind=%s error=%s (further ones are only counted)", project, kind, error)
