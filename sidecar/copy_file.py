r"""A copy as a file: what is in it, and how it is told from a torn or foreign one. Blocking; for a thread.

    billing-sidecar-copy 2\n          what it is, and the format's version
    {"project_id":…,"epoch":…,…}\n    where the copy stands, when it was written, the catalogue
    [[feature,source,value],…]\n      the grants that records name by number, some thousands a line
    page 0xFD page 0xFD … page        the pages, as they are in memory; 0xFD occurs in no page
    32 bytes                          BLAKE2b of everything before them

Everything is read in pieces of a megabyte, so that whoever answers meanwhile never waits for the interpreter for long.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import orjson

from common import catalogue as catalogues
from common import wire
from common.catalogue import Catalogue
from common.clock import Instant, format_time, parse_time
from common.identifiers import ProjectId, project_id
from common.position import Position
from sidecar.pages import BETWEEN, MARK, VALUE

VERSION: Final = 2
_NAME: Final = b"billing-sidecar-copy "
_LONGEST_FIRST_LINE: Final = 64
_LONGEST_LINE: Final = 64 * 1024 * 1024
_CHECK_BYTES: Final = 32
_PIECE: Final = 1024 * 1024
_PAGES_AT_ONCE: Final = 512
_GRANTS_A_LINE: Final = 4_096


class Refusal(StrEnum):
    """Why a file is not taken."""

    FOREIGN = "foreign"
    """It is no copy, or another project's."""
    OTHER_VERSION = "other_version"
    TORN = "torn"
    """It is cut, or its bytes are not those that were written."""
    UNREADABLE = "unreadable"
    """The system does not let us read it."""


class CopyFileError(Exception):
    """A file is no copy of the project; the message says why."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of the copy in it."""

    project: ProjectId
    position: Position
    count: int
    digest: int
    complete: bool
    """Whether the copy's own digest had matched: the proof is kept with what it is of."""
    saved_at: Instant
    age: float
    """Seconds since the copy was known to be current, when it was saved."""
    catalogue: Catalogue
    pages: int
    grant_lines: int

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        return {
            "project_id": self.project,
            "epoch": self.position.epoch,
            "revision": self.position.revision,
            "count": self.count,
            "digest": wire.format_digest(self.digest),
            "complete": self.complete,
            "saved_at": format_time(self.saved_at),
            "age_ms": int(self.age * 1000),
            "pages": self.pages,
            "grant_lines": self.grant_lines,
            "catalog": catalogues.to_json(self.catalogue),
        }

    @classmethod
    def from_json(cls, parsed: Any) -> Self:
        """Read back; KeyError, TypeError or ValueError where it is none."""
        return cls(
            project_id(parsed["project_id"]),
            Position(_count(parsed["epoch"]), _count(parsed["revision"])),
            _count(parsed["count"]),
            wire.parse_digest(parsed["digest"]),
            parsed["complete"] is True,
            parse_time(parsed["saved_at"]),
            _count(parsed["age_ms"]) / 1000,
            catalogues.from_json(parsed["catalog"]),
            _count(parsed["pages"]),
            _count(parsed["grant_lines"]),
        )


@dataclass(frozen=True, slots=True)
class Contents:
    """A file that was read and checked."""

    head: Head
    grants: list[list[Any]]
    pages: list[bytes]


def grant_lines(grants: Sequence[object]) -> int:
    """How many lines so many grants take."""
    return -(-len(grants) // _GRANTS_A_LINE)


def write(file: BinaryIO, head: Head, grants: list[list[Any]], pages: list[bytes]) -> None:
    """Write a copy; OSError. `pages` is emptied on the way, so that no thousands of them are freed at one stroke."""
    check = blake2b(digest_size=_CHECK_BYTES)
    for piece in _pieces(head, grants, pages):
        check.update(piece)
        file.write(piece)
    file.write(check.digest())


def read(path: Path, project: ProjectId) -> Contents | None:
    """Read a project's copy; None where there is no file. CopyFileError where it may not be taken."""
    try:
        with path.open("rb") as file:
            return _Reader(file).contents(project)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CopyFileError(Refusal.UNREADABLE, f"{path} cannot be read: {error.strerror}") from error
    except CopyFileError as error:
        raise CopyFileError(error.refusal, f"{path} {error}") from error


def read_position(path: Path, project: ProjectId) -> Position | None:
    """Where the copy in a file stands, by its own word; None where there is no file that could be one."""
    try:
        with path.open("rb") as file:
            return _Reader(file).head(project).position
    except (OSError, CopyFileError):
        return None


def _pieces(head: Head, grants: list[list[Any]], pages: list[bytes]) -> Iterator[bytes]:
    yield b"%b%d\n" % (_NAME, VERSION)
    yield orjson.dumps(head.to_json(), option=orjson.OPT_APPEND_NEWLINE)
    for start in range(0, len(grants), _GRANTS_A_LINE):
        yield orjson.dumps(grants[start : start + _GRANTS_A_LINE], option=orjson.OPT_APPEND_NEWLINE)
    pages.reverse()  # the end of a list is where it can be emptied from
    while pages:
        taken = pages[: -_PAGES_AT_ONCE - 1 : -1]
        del pages[-_PAGES_AT_ONCE:]
        yield BETWEEN.join(taken)
        if pages:
            yield BETWEEN


class _Reader:
    """Reads one file, and reckons its check on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = file.seek(0, 2) - _CHECK_BYTES
        file.seek(0)
        self._check = blake2b(digest_size=_CHECK_BYTES)

    def head(self, project: ProjectId) -> Head:
        """The first two lines, not checked yet."""
        self._first_line()
        try:
            head = Head.from_json(orjson.loads(self._line(_LONGEST_LINE)))
        except (KeyError, TypeError, ValueError, OverflowError) as error:  # the errors of our own readers among them
            raise CopyFileError(Refusal.TORN, "is torn: its second line cannot be read") from error
        if head.project != project:
            raise CopyFileError(Refusal.FOREIGN, f"is a copy of project {head.project!r}, not of {project!r}")
        return head

    def contents(self, project: ProjectId) -> Contents:
        """Everything, checked."""
        head = self.head(project)
        grants: list[list[Any]] = []
        try:
            for _ in range(head.grant_lines):
                grants += orjson.loads(self._line(_LONGEST_LINE))
        except (TypeError, ValueError) as error:
            raise CopyFileError(Refusal.TORN, "is torn: its grants cannot be read") from error
        pages, count = self._pages()
        if self._check.digest() != self._file.read(_CHECK_BYTES + 1):
            raise CopyFileError(Refusal.TORN, "is torn: its bytes do not match their check")
        if (len(pages), count) != (head.pages, head.count):
            raise CopyFileError(Refusal.TORN, "is torn: it holds more or less than it says")
        return Contents(head, grants, pages)

    def _first_line(self) -> None:
        line = self._file.read(_LONGEST_FIRST_LINE).partition(b"\n")[0]
        self._file.seek(0)
        if not line.startswith(_NAME) or not line[len(_NAME) :].isdigit():
            if _NAME.startswith(line[: len(_NAME)]):
                raise CopyFileError(Refusal.TORN, "is torn: it ends in its first line")
            raise CopyFileError(Refusal.FOREIGN, "is no copy of a sidecar's")
        if int(line[len(_NAME) :]) != VERSION:
            message = f"was written in format {line[len(_NAME) :].decode()}, this version reads format {VERSION}"
            raise CopyFileError(Refusal.OTHER_VERSION, message)
        self._line(_LONGEST_FIRST_LINE)

    def _line(self, most: int) -> bytes:
        line = self._file.readline(min(most, max(0, self._left)))
        self._left -= len(line)
        self._check.update(line)
        if not line.endswith(b"\n"):
            raise CopyFileError(Refusal.TORN, "is torn: it ends within its first lines")
        return line

    def _pages(self) -> tuple[list[bytes], int]:
        """The pages, and how many records are in them."""
        pages: list[bytes] = []
        count = 0
        rest = b""
        while self._left > 0:
            piece = self._file.read(min(_PIECE, self._left))
            if not piece:
                break  # it was cut while it was read, which its check will show
            self._left -= len(piece)
            self._check.update(piece)
            count += piece.count(VALUE)
            *whole, rest = (rest + piece).split(BETWEEN)
            pages += whole
        if not (rest.startswith(MARK) and rest.endswith(MARK)):
            raise CopyFileError(Refusal.TORN, "is torn: it ends within a page")
        pages.append(rest)
        return pages, count


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("must be a whole number, 0 or more")
    return value
