"""Byte records by key in few objects: some records share a page, one `bytes`. Pure.

A dict of a million users takes 150 MB for its keys, values and slots alone, and its slots are walked and copied when
it grows. Pages cost a few bytes a record, and they grow one at a time (linear hashing), so no insert is ever slow.
Pages are immutable: a reader, or a snapshot on its way to disk, that holds the list's copy holds that state for good.

Keys are non-empty UTF-8 and records are UTF-8, in which the bytes 0xFE and 0xFF never occur: they part what is stored.
0xFD, which does not either, is left to whoever strings pages together.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Self
from zlib import crc32

PER_PAGE: Final = 8
"""Records of a page, on average: fewer cost memory, more cost time."""

MARK: Final = b"\xff"
"""Before each record of a page, and at its end."""

VALUE: Final = b"\xfe"
"""Between a key and its record."""

BETWEEN: Final = b"\xfd"
"""Between pages that are strung together."""

EMPTY: Final = MARK
"""A page without records; every page ends with the mark at which a next record would begin."""

_MOST_ROOM: Final = 16_000_000
"""Records for which there is room at once, whatever is told of how many will come."""

hash_of: Final[Callable[[bytes], int]] = crc32
"""Where a key belongs: the same in every process, so that pages can be kept and carried."""


class Pages:
    """A mapping from `bytes` to `bytes`."""

    __slots__ = ("_half", "_mask", "_room", "count", "pages")

    def __init__(self, pages: list[bytes] | None = None, count: int = 0) -> None:
        self.pages = pages or [EMPTY]
        self.count = count
        self._measure()

    @classmethod
    def with_room(cls, records: int) -> Self:
        """Empty pages for about so many records, which then need not be parted while they come."""
        return cls([EMPTY] * max(1, -(-min(records, _MOST_ROOM) // PER_PAGE)))

    def place(self, hashed: int) -> int:
        """The index of the page of a key, from the key's `hash_of`."""
        index = hashed & self._mask
        return index if index < len(self.pages) else index & self._half

    def get(self, key: bytes) -> bytes | None:
        """The record; None where there is none."""
        return find(self.pages[self.place(hash_of(key))], key)

    def put(self, key: bytes, record: bytes) -> None:
        """Hold a record, in place of the one before."""
        index = self.place(hash_of(key))
        page = self.pages[index]
        start, end = _span(page, key)
        self.pages[index] = b"".join((page[:start], MARK, key, VALUE, record, page[end:]))
        if start == end:
            self.count += 1
            if self.count > self._room:
                self._part_one()

    def filled(self, count: int) -> None:
        """So many records were put into the pages by somebody else (`_native`)."""
        self.count += count
        while self.count > self._room:
            self._part_one()

    def remove(self, key: bytes) -> bool:
        """Hold nothing of the key any more; whether there was something."""
        index = self.place(hash_of(key))
        page = self.pages[index]
        start, end = _span(page, key)
        if start == end:
            return False
        self.pages[index] = page[:start] + page[end:]
        self.count -= 1
        return True

    def __contains__(self, key: bytes) -> bool:
        return _head(key) in self.pages[self.place(hash_of(key))]

    def __iter__(self) -> Iterator[bytes]:
        """The keys. What is put or removed meanwhile may be seen or not; nothing else is missed or seen twice."""
        for key, _ in entries(list(self.pages)):
            yield key

    def _measure(self) -> None:
        self._mask = (1 << (len(self.pages) - 1).bit_length()) - 1
        self._half = self._mask >> 1
        self._room = len(self.pages) * PER_PAGE

    def _part_one(self) -> None:
        """Add a page, and move there what belongs to it out of the one page that held it till now."""
        new = len(self.pages)
        self.pages.append(EMPTY)
        self._measure()
        old = new & self._half
        stay: list[bytes] = []
        go: list[bytes] = []
        for record in self.pages[old].split(MARK)[1:-1]:
            key = record[: record.index(VALUE)]
            (go if self.place(hash_of(key)) == new else stay).append(record)
        self.pages[old], self.pages[new] = _joined(stay), _joined(go)


def find(page: bytes, key: bytes) -> bytes | None:
    """The record of a key in a page; None where there is none."""
    head = _head(key)
    start = page.find(head)
    if start < 0:
        return None
    start += len(head)
    return page[start : page.index(MARK, start)]


def entries(pages: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Every key with its record."""
    for page in pages:
        for stored in page.split(MARK)[1:-1]:
            key, _, record = stored.partition(VALUE)
            yield key, record


def _head(key: bytes) -> bytes:
    return b"\xff%b\xfe" % key


def _span(page: bytes, key: bytes) -> tuple[int, int]:
    """From where to where a key's record stands; the page's beginning twice where there is none."""
    head = _head(key)
    start = page.find(head)
    return (0, 0) if start < 0 else (start, page.index(MARK, start + len(head)))


def _joined(records: list[bytes]) -> bytes:
    return b"".join((MARK, MARK.join(records), MARK)) if records else EMPTY
