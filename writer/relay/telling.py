"""What logs and traces learn of a burst that is published: only of changes whose trail is known."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from common import tracing
from common.identifiers import ProjectId
from common.tracing import Kind, Span
from common.trail import followed
from writer.outbox import OutboxEntry

_log = logging.getLogger(__name__)


@contextmanager
def told(project: ProjectId, burst: Sequence[OutboxEntry]) -> Iterator[Sequence[OutboxEntry]]:
    """Around publishing a burst; gives it with the trails that its messages carry on."""
    begun = [_begun(project, entry) for entry in burst]
    pairs = zip(burst, begun, strict=True)
    led = [entry if span is None else replace(entry, trail=span.trail) for entry, span in pairs]
    failed: BaseException | None = None
    try:
        yield led
    except BaseException as error:
        failed = error
        raise
    finally:
        for span in begun:
            if span is not None:
                span.end(failed)
    for entry in burst:
        if entry.trail:
            with followed(entry.trail):
                _log.info("change published project=%s position=%s", project, entry.position.token)


def _begun(project: ProjectId, entry: OutboxEntry) -> Span | None:
    if not entry.trail:
        return None
    facts = {"project": project, "position": entry.position.token}
    return tracing.begin(entry.trail, "change publish", Kind.PRODUCER, **facts)
