"""Messages on the channel, in the change log and in `changes`: one user's document, a catalogue, a heartbeat."""

from dataclasses import dataclass
from typing import Any

import orjson

from common import catalogue as catalogues
from common import document as documents
from common.catalogue import Catalogue, CatalogueError
from common.clock import Instant, TimeError, format_time, parse_time
from common.document import MAX_DOCUMENT_BYTES, Document, DocumentError
from common.position import Position
from common.trail import NOWHERE, Trail

VERSION = 1
MAX_MESSAGE_BYTES = 2 * MAX_DOCUMENT_BYTES
"""A larger message is refused; a catalogue may be larger than a document."""


class WireError(ValueError):
    """A message cannot be read; the message says which part."""


class FutureVersionError(WireError):
    """A message was written by a newer version than this one can read."""


@dataclass(frozen=True, slots=True)
class UserChanged:
    """One revision: a user's new document, whole, so that applying it needs no read."""

    document: Document
    sent_at: Instant
    received_at: Instant | None = None
    """When the writer received what caused the change; None where nothing outside did."""
    trail: Trail = NOWHERE
    """Where the change came from, for logs and traces; older readers pass it over."""

    @property
    def position(self) -> Position:
        """The revision that this message is."""
        return self.document.position


@dataclass(frozen=True, slots=True)
class CatalogChanged:
    """One revision: a new version of the project's catalogue, whole."""

    catalogue: Catalogue
    sent_at: Instant

    @property
    def position(self) -> Position:
        """The revision that this message is."""
        return self.catalogue.position


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How far the project has come: what a copy is compared with.

    `revision` is relayed, `head` is committed; `count` and `digest` are of the non-empty documents at `revision`.
    """

    epoch: int
    revision: int
    head: int
    count: int
    digest: int
    sent_at: Instant

    @property
    def position(self) -> Position:
        """How far the relay has come."""
        return Position(self.epoch, self.revision)


Change = UserChanged | CatalogChanged
Message = Change | Heartbeat


def encode(message: Message) -> bytes:
    """The message as UTF-8 JSON."""
    return orjson.dumps(to_json(message))


def to_json(message: Message) -> dict[str, Any]:
    """The message in its public shape."""
    head = {
        "v": VERSION,
        "op": _OPS[type(message)],
        "epoch": message.position.epoch,
        "revision": message.position.revision,
        "sent_at": format_time(message.sent_at),
    }
    match message:
        case UserChanged(document, _, received_at, trail):
            received = None if received_at is None else format_time(received_at)
            came = {"trail": trail.to_json()} if trail else {}
            return {**head, "received_at": received, **came, "document": documents.to_json(document)}
        case CatalogChanged(catalogue):
            return {**head, "catalog": catalogues.to_json(catalogue)}
        case Heartbeat():
            return {
                **head,
                "head": message.head,
                "count": message.count,
                "digest": format_digest(message.digest),
            }


def decode(data: bytes) -> Message:
    """Read UTF-8 JSON; WireError where it is no message, FutureVersionError where it is not one of ours yet."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise WireError(f"the message has {len(data)} bytes, {MAX_MESSAGE_BYTES} are allowed")
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise WireError("the message is not JSON") from error
    return from_json(parsed)


def from_json(parsed: Any) -> Message:
    """Read the public shape; unknown fields are passed over; errors as in `decode`."""
    try:
        if type(parsed["v"]) is not int or parsed["v"] > VERSION:
            raise FutureVersionError(f"the message has version {parsed['v']!r}, this reads up to {VERSION}")
        message = _body(parsed)
        if message.position != (parsed["epoch"], parsed["revision"]):
            raise WireError("the message and what it carries name different revisions")
    except (KeyError, TypeError, DocumentError, CatalogueError, TimeError) as error:
        raise WireError(f"the message is not readable: {type(error).__name__}: {error}") from error
    return message


def _body(parsed: Any) -> Message:
    sent_at = parse_time(parsed["sent_at"])
    match parsed["op"]:
        case "user":
            received = parsed.get("received_at")
            return UserChanged(
                documents.from_json(parsed["document"]),
                sent_at,
                None if received is None else parse_time(received),
                Trail.from_json(parsed.get("trail")),
            )
        case "catalog":
            return CatalogChanged(catalogues.from_json(parsed["catalog"]), sent_at)
        case "heartbeat":
            names = ("epoch", "revision", "head", "count")
            if any(type(parsed[name]) is not int or parsed[name] < 0 for name in names):
                raise WireError("epoch, revision, head and count must be whole numbers, 0 or more")
            epoch, revision, head, count = (parsed[name] for name in names)
            return Heartbeat(epoch, revision, head, count, parse_digest(parsed["digest"]), sent_at)
        case other:
            raise FutureVersionError(f"the message has op {other!r}, which this version does not know")


_OPS = {UserChanged: "user", CatalogChanged: "catalog", Heartbeat: "heartbeat"}


def format_digest(digest: int) -> str:
    """A digest as 32 hexadecimal digits."""
    return f"{digest:032x}"


def parse_digest(text: Any) -> int:
    """Read 32 hexadecimal digits; WireError where it is not."""
    try:
        if len(text) == 32:  # noqa: PLR2004 - 128 bits in hexadecimal
            return int(text, 16)
    except (TypeError, ValueError):
        pass
    raise WireError("digest must be 32 hexadecimal digits")
