"""From a document's bytes to the record that a copy holds, and its part in the digest. Pure.

A load reads a million documents: building each one's objects, or parsing it whole, would be most of its time. What
writers write is cut where a row's own part begins and ends (`source_ref`, `valid_from`, `valid_to`). What is left
between the cuts is the same for all who hold the same: it is read once, and remembered as a path. What was cut out is
checked to be plain texts and times. Documents in ASCII are packed natively (`native/`), where that was built. Whatever
leaves a doubt (another field, an odd number, an unusual name) is read by `common.document`, which also says what is
wrong with it, so all ways accept and refuse the same.
"""

import re
from dataclasses import dataclass
from itertools import chain
from types import ModuleType
from typing import Final, NamedTuple

import orjson

from common import document as documents
from common.document import (
    MAX_DOCUMENT_BYTES,
    Document,
    DocumentError,
    canonical_value,
    digest_of,
    digest_of_canonical,
)
from common.identifiers import ProjectId
from common.position import NOWHERE, Position
from sidecar.instants import DoubtError, Instants
from sidecar.pages import Pages
from sidecar.records import Grants, pack

_native: ModuleType | None
try:
    from sidecar import _native
except ImportError:  # there was no compiler
    _native = None

_MOST_REMEMBERED: Final = 65_536
_LONGEST_BETWEEN: Final = 1_024
"""Bytes between two cuts; longer ones are seldom shared, and their value might be nested deeply."""

_PLAIN: Final = rb"[ !#-\[\]-~\x80-\xff]"
"""A byte that stands in JSON as itself."""

_COUNT: Final = rb"0|[1-9]\d{0,14}"
_TIME: Final = rb'([^"]{11})([^"]{6})([^"]{2})(?:\.(\d{6}))?Z'
"""A time as writers write it: day, minute and second, which are few, and microseconds."""

_CUT: Final = b',"source_ref":"'
_END_OF_CUT: Final = b',"value":'
_OWN: Final = re.compile(rb'(%b*)","valid_from":"%b","valid_to":(?:null|"%b")' % (_PLAIN, _TIME, _TIME))
"""What is taken out of a row: reference, beginning, end."""

_OPENING: Final = re.compile(rb'\{"feature_code":"([A-Za-z0-9_.-]{1,64})","source":"([a-z]+)"')
_CLOSING: Final = b"}]}"
_EMPTY: Final = b"[]}"
_HERE: Final = b"\xff"
"""Where a row's own part belongs; no text has such a byte."""

_SOURCES: Final = frozenset(source.value for source in documents.Source)


class Entry(NamedTuple):
    """A document as a copy takes it; `record` is empty where the user holds nothing."""

    user: bytes
    epoch: int
    revision: int
    record: bytes
    digest: int

    @property
    def position(self) -> Position:
        """Where the document was written."""
        return Position(self.epoch, self.revision)


@dataclass(frozen=True, slots=True)
class Taken:
    """What went into pages at once; `horizon` is the newest position among it."""

    count: int
    digest: int
    horizon: Position
    left: list[int]  # the numbers of those that are to be taken one by one


class _Path:
    """What documents have in common that begin with the same rows, but for each row's own part."""

    __slots__ = ("canonical", "further", "granted", "opened")

    def __init__(self, opened: tuple[str, str] | None, granted: tuple[bytes, ...], canonical: bytes) -> None:
        self.opened = opened
        """Feature and source of the row that was begun last; None where the list has ended."""
        self.granted = granted
        """Each whole row's grant as records name it: its number, or itself."""
        self.canonical = canonical
        """The rows as the digest has them."""
        self.further: dict[bytes, _Path] = {}
        """By what stands between the next two cuts."""


class Packer:
    """Packs documents of one project, naming grants by the numbers of `grants`."""

    def __init__(self, project: ProjectId, grants: Grants) -> None:
        self._project = project
        self._grants = grants
        head = rb'\{"user_id":"(%b{1,255})","project_id":"%b",' % (_PLAIN, re.escape(project.encode()))
        head += rb'"epoch":(%b),"revision":(%b),"computed_at":"%b","entitlements":' % (_COUNT, _COUNT, _TIME)
        self._head = re.compile(head).match
        self._middle = b'","project_id":"%b","epoch":' % project.encode()
        self._whole: dict[bytes, tuple[tuple[bytes, ...], bytes]] = {}
        """Of paths to their end what is granted, and what the digest has, by what is left between all cuts."""
        self._beginning = _Path(None, (), b"[")
        self._remembered = 0
        self._instants = Instants()

    def pack(self, data: bytes) -> Entry:
        """The document; DocumentError where it is none, or another project's."""
        entry = self._pack_natively(data)
        if entry is not None:
            return entry
        try:
            user, epoch, revision, record, canonical = self._pack_plain(data)
        except DoubtError:
            return self._carefully(data)
        return Entry(user, epoch, revision, record, digest_of_canonical(canonical) if record else 0)

    def pack_of(self, user: bytes, data: bytes) -> Entry:
        """The same of a document that stands under a user's name; DocumentError where it is another's."""
        entry = self.pack(data)
        if entry.user != user:
            raise DocumentError(f"the document is of user {entry.user.decode()!r}, under whose name it does not stand")
        return entry

    def take(self, users: list[bytes] | list[None], found: list[bytes | None], pages: Pages) -> Taken:
        """Put documents into pages that have none of their users; None among `found` is passed over.

        `users`: under whose names they stand; None for one that stands under none. What is in any doubt is left, also
        a document of somebody who is held already.
        """
        if _native is None:
            return Taken(0, 0, NOWHERE, [number for number, data in enumerate(found) if data is not None])
        done = _native.take(users, found, self._middle, self._whole, pages.pages, MAX_DOCUMENT_BYTES)
        count, digest, *horizon, left = done
        pages.filled(count)
        return Taken(count, int.from_bytes(digest, "big"), Position(*horizon), left)

    def _pack_natively(self, data: bytes) -> Entry | None:
        if _native is None or len(data) > MAX_DOCUMENT_BYTES:
            return None
        found = _native.pack(data, self._middle, self._whole)
        if isinstance(found, bytes):
            found = _native.pack(data, self._middle, self._whole) if self._learn(found) else None
        if found is None:
            return None
        user, epoch, revision, record, digest = found
        return Entry(user, epoch, revision, record, int.from_bytes(digest, "big"))

    def _learn(self, left: bytes) -> bool:
        """Whether it is known now what a document means of which this is left between all cuts."""
        try:
            path = self._follow(left)
        except DoubtError:
            return False
        if len(self._whole) < _MOST_REMEMBERED:
            self._whole[left] = path.granted, path.canonical
        return left in self._whole

    def _follow(self, left: bytes) -> _Path:
        """The path of what is left between all cuts."""
        opening, *further = left.split(_HERE)
        path = self._beginning.further.get(opening) or self._open(opening)
        for text in further:
            path = path.further.get(text) or self._go_on(path, text)
        if path.opened is not None:
            raise DoubtError
        return path

    def _pack_plain(self, data: bytes) -> tuple[bytes, int, int, bytes, bytes]:
        if not data.isascii() or len(data) > MAX_DOCUMENT_BYTES:
            _check_text(data)
        pieces = data.split(_CUT)
        first = pieces[0]
        head = self._head(first)
        if head is None:
            raise DoubtError
        user, epoch, revision, day, minute, second, fraction = head.groups()
        if not (user.isascii() or user.decode().isprintable()):
            raise DoubtError
        opening = first[head.end() :]
        computed_at = self._instants.read(day, minute, second, fraction)
        if opening == _EMPTY and len(pieces) == 1:
            return user, int(epoch), int(revision), b"", b""
        path = self._beginning.further.get(opening) or self._open(opening)
        cuts: list[bytes] = []
        for piece in pieces[1:]:
            cut, _, rest = piece.partition(_END_OF_CUT)
            cuts.append(cut)
            path = path.further.get(rest) or self._go_on(path, rest)
        if path.opened is not None:
            raise DoubtError
        if cuts.count(cuts[0]) == len(cuts):
            own = self._own(cuts[0])
            runs, canonical = b"[[%b],%b" % (b",".join(path.granted), own), path.canonical.replace(_HERE, own)
        else:
            runs, canonical = self._mixed(path, cuts)
        record = b"%b,%b,%b,%d]" % (runs, epoch, revision, computed_at)
        return user, int(epoch), int(revision), record, b'["%b",%b,%b' % (user, revision, canonical)

    def _mixed(self, path: _Path, cuts: list[bytes]) -> tuple[bytes, bytes]:
        """A record's runs and the digest's rows, where not all rows have the same own part."""
        owns = [self._own(cut) for cut in cuts]
        runs: list[tuple[bytes, bytes]] = []
        for granted, own in zip(path.granted, owns, strict=True):
            if runs and runs[-1][1] == own:
                runs[-1] = (b"%b,%b" % (runs[-1][0], granted), own)
            else:
                runs.append((granted, own))
        between = path.canonical.split(_HERE)
        canonical = b"".join([*chain.from_iterable(zip(between, owns, strict=False)), between[-1]])
        return b"[" + b",".join([b"[%b],%b" % run for run in runs]), canonical

    def _own(self, cut: bytes) -> bytes:
        """A row's own part as records and the digest have it."""
        own = _OWN.fullmatch(cut)
        if own is None:
            raise DoubtError
        reference, day, minute, second, fraction, *ends = own.groups()
        read = self._instants.read
        begins = read(day, minute, second, fraction)
        if ends[0] is None:
            return b'"%b",%d,null' % (reference, begins)
        return b'"%b",%d,%d' % (reference, begins, read(*ends))

    def _open(self, text: bytes) -> _Path:
        """The list's beginning, with its first row."""
        if not text.startswith(b"["):
            raise DoubtError
        return self._remember(self._beginning, text, _Path(_opened(text[1:]), (), b"["))

    def _go_on(self, path: _Path, text: bytes) -> _Path:
        """The end of a row, and the beginning of the next one if there is one."""
        if path.opened is None or len(text) > _LONGEST_BETWEEN:
            raise DoubtError
        told, between, following = text.rpartition(b"},")
        opened = _opened(following) if between else None
        if opened is None:
            if not text.endswith(_CLOSING):
                raise DoubtError
            told = text.removesuffix(_CLOSING)
        try:
            value = documents.checked_value(orjson.loads(told))
        except ValueError as error:
            raise DoubtError from error
        granted = (*path.granted, orjson.dumps(self._grants.number(*path.opened, value)))
        ended = b"%b,%b%b" % (path.canonical, canonical_value(value), b"]]]" if opened is None else b"],")
        return self._remember(path, text, _Path(opened, granted, ended))

    def _remember(self, before: _Path, text: bytes, path: _Path) -> _Path:
        if path.opened is not None:
            path.canonical += orjson.dumps(path.opened)[:-1] + b"," + _HERE
        if self._remembered < _MOST_REMEMBERED:
            self._remembered += 1
            before.further[text] = path
        return path

    def _carefully(self, data: bytes) -> Entry:
        document = documents.decode(data)
        if document.project_id != self._project:
            raise DocumentError(f"the document is of project {document.project_id!r}")
        return packed_entry(document, self._grants)


def packed_entry(document: Document, grants: Grants) -> Entry:
    """A document that was read already."""
    record = pack(document, grants) if document.entitlements else b""
    return Entry(document.user_id.encode(), document.epoch, document.revision, record, digest_of(document))


def _check_text(data: bytes) -> None:
    """What is passed over unread must be text as well, and no more than is allowed."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise DoubtError from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DoubtError


def _opened(text: bytes) -> tuple[str, str]:
    """Feature and source of a row as far as its cut."""
    opening = _OPENING.fullmatch(text)
    if opening is None or opening[2].decode() not in _SOURCES:
        raise DoubtError
    return opening[1].decode(), opening[2].decode()
