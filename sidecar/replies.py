"""Redis's replies out of a blocking connection, hundreds at a time."""

from collections.abc import Callable
from typing import Final

from redis.exceptions import ResponseError

_native: Callable[[bytes, int, int], tuple[list[bytes], int]] | None
try:
    from sidecar._native import bulks as _native
except ImportError:  # there was no compiler
    _native = None

_PIECE: Final = 1024 * 1024
_END: Final = b"\r\n"
_BULK, _ERROR, _NULL = b"$-_"


class Replies:
    """Reads what `receive` brings, which gives at most so many bytes, and none once the other side has gone."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._data = b""

    def scan(self) -> tuple[bytes, list[bytes]]:
        """A step of a walk: where to go on, and the members."""
        self._array()
        (cursor,) = self.bulks(1)
        members = self.array()
        if cursor is None:
            raise ResponseError("a scan's cursor is missing")
        return cursor, [member for member in members if member is not None]

    def array(self) -> list[bytes | None]:
        """An array of strings."""
        return self.bulks(self._array())

    def bulks(self, count: int) -> list[bytes | None]:
        """So many strings; None for each that is not there. ResponseError where there is something else."""
        found: list[bytes | None] = []
        data, at = self._data, 0
        while len(found) < count:
            if _native is not None:
                whole, at = _native(data, at, count - len(found))
                found += whole
                if len(found) == count:
                    break
            end = data.find(_END, at)
            if end >= 0:
                kind = data[at]
                length = int(data[at + 1 : end]) if kind == _BULK else -1
                if length < 0:
                    if kind not in (_BULK, _NULL):
                        raise _refused(data[at:end])
                    found.append(None)
                    at = end + 2
                    continue
                stop = end + 2 + length
                if stop + 2 <= len(data):
                    found.append(data[end + 2 : stop])
                    at = stop + 2
                    continue
            data, at = data[at:] + self._more(), 0
        self._data = data[at:]
        return found

    def _array(self) -> int:
        """How many elements the array that begins here has."""
        while _END not in self._data:
            self._data += self._more()
        line, _, self._data = self._data.partition(_END)
        if not line.startswith(b"*"):
            raise _refused(line)
        return int(line[1:])

    def _more(self) -> bytes:
        piece = self._receive(_PIECE)
        if not piece:
            raise ConnectionError("redis closed the connection")
        return piece


def _refused(line: bytes) -> ResponseError:
    text = line[1:200].decode(errors="replace")
    return ResponseError(text if line[0] == _ERROR else f"redis answers something else: {text}")
