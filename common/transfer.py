"""What the writer hands over HTTP: `snapshot` (lines of JSON) and `changes` (one JSON object).

A snapshot is `head`, then a line for each non-empty document, then `end`; a reader that did not see `end` has
not seen the snapshot. Everything in it stands at one (epoch, revision).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from common import catalogue as catalogues
from common import wire
from common.catalogue import Catalogue, CatalogueError
from common.identifiers import IdentifierError, ProjectId, project_id
from common.position import Position
from common.wire import VERSION, Change, FutureVersionError, Heartbeat, WireError

SNAPSHOT_TYPE = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class SnapshotHead:
    """The first line: where the snapshot stands and what it will hold."""

    project_id: ProjectId
    position: Position
    count: int
    digest: int
    catalogue: Catalogue


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Changes after the asked position, in order and gapless, and how far the project has come.

    `heartbeat` stands at the committed head; `changes` may end before it, and the rest is asked for again.
    """

    changes: Sequence[Change]
    heartbeat: Heartbeat


def encode_head(head: SnapshotHead) -> bytes:
    """The first line, without its line end."""
    return orjson.dumps(
        {
            "v": VERSION,
            "op": "snapshot",
            "project_id": head.project_id,
            "epoch": head.position.epoch,
            "revision": head.position.revision,
            "count": head.count,
            "digest": wire.format_digest(head.digest),
            "catalog": catalogues.to_json(head.catalogue),
        }
    )


def encode_end(count: int) -> bytes:
    """The last line, without its line end; `count` documents came before it."""
    return orjson.dumps({"v": VERSION, "op": "end", "count": count})


def decode_head(line: bytes) -> SnapshotHead:
    """Read the first line; WireError where it is none."""
    try:
        parsed = orjson.loads(line)
        _check_version(parsed)
        if parsed["op"] != "snapshot":
            raise WireError(f"the snapshot begins with op {parsed['op']!r}")
        return SnapshotHead(
            project_id(parsed["project_id"]),
            Position(int(parsed["epoch"]), int(parsed["revision"])),
            int(parsed["count"]),
            wire.parse_digest(parsed["digest"]),
            catalogues.from_json(parsed["catalog"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, CatalogueError, IdentifierError) as error:
        raise WireError(f"the snapshot's head is not readable: {type(error).__name__}: {error}") from error


def decode_end(line: bytes) -> int | None:
    """How many documents the snapshot held; None where `line` is not its end."""
    if b'"end"' not in line:
        return None
    try:
        parsed = orjson.loads(line)
        return int(parsed["count"]) if parsed.get("op") == "end" else None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError("the snapshot's end is not readable") from error


def page_to_json(page: ChangesPage) -> dict[str, Any]:
    """The answer of `changes`."""
    return {
        "v": VERSION,
        "messages": [wire.to_json(change) for change in page.changes],
        "heartbeat": wire.to_json(page.heartbeat),
    }


def decode_page(data: bytes) -> ChangesPage:
    """Read the answer of `changes`; WireError where it is none."""
    try:
        parsed = orjson.loads(data)
        _check_version(parsed)
        messages = [wire.from_json(message) for message in parsed["messages"]]
        heartbeat = wire.from_json(parsed["heartbeat"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise WireError(f"the changes are not readable: {type(error).__name__}: {error}") from error
    changes = [message for message in messages if not isinstance(message, Heartbeat)]
    if not isinstance(heartbeat, Heartbeat) or len(changes) != len(messages):
        raise WireError("the changes hold something else than changes and one heartbeat")
    return ChangesPage(changes, heartbeat)


def _check_version(parsed: Any) -> None:
    if type(parsed["v"]) is not int or parsed["v"] > VERSION:
        raise FutureVersionError(f"version {parsed['v']!r} is newer than {VERSION}, the newest that this reads")
