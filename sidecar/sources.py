"""What a copy is filled from and kept in step by: the errors of reading a source, and what was read."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from common import wire
from common.identifiers import ProjectId
from common.position import Position
from common.wire import CatalogChanged, Heartbeat, Message, UserChanged, WireError


class Source(StrEnum):
    """Where data came from."""

    REDIS = "redis"
    WRITER = "writer"
    DISK = "disk"
    """The copy's own file: only at the start, and only to be followed by one of the others."""


Live = Literal[Source.REDIS, Source.WRITER]

LIVE: Final[tuple[Live, ...]] = (Source.REDIS, Source.WRITER)
"""Sources that move on."""


class SourceError(Exception):
    """A source cannot be read now."""


class UnavailableError(SourceError):
    """A source does not answer, or refuses us."""


class UnreadableError(SourceError):
    """A source holds something that this version does not read; it may also be incomplete."""


class ChangesGoneError(SourceError):
    """The changes that were asked for are no longer kept, or belong to another epoch: a snapshot is needed."""


class AheadError(SourceError):
    """The copy is ahead of the writer: its revision is not committed there."""


@dataclass(frozen=True, slots=True)
class CacheMeta:
    """What Redis says that it holds of a project."""

    position: Position
    count: int
    digest: int
    refilling: bool
    """Somebody is filling it: what is there now is not whole."""


def read_message(data: bytes, project: ProjectId) -> Message:
    """Decode a message of this project's channel or log; WireError where it is none, or another project's."""
    message = wire.decode(data)
    match message:
        case UserChanged(document):
            named = document.project_id
        case CatalogChanged(catalogue):
            named = catalogue.project_id
        case Heartbeat():
            return message
    if named != project:
        raise WireError(f"the message is of project {named!r}, not of {project!r}")
    return message
