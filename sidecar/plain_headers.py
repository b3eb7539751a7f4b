"""Which header blocks change nothing about how a GET is answered. Pure.

A client sends the same block again and again, so a judged block is remembered by its bytes.
"""

import re
from typing import Final

MOST_BYTES: Final = 4096
"""A longer request is read by the ordinary lane, which bounds each part of it by itself."""

_MOST: Final = 64
"""Headers of a block; aiohttp refuses more than 128."""

_REMEMBERED: Final = 512
_LINE: Final = re.compile(rb"([A-Za-z0-9_-]{1,64}): ((?:[!-~](?:[ -~]*[!-~])?)?)\r\n")
_UNUSUAL: Final = re.compile(
    rb"connection|content-.*|transfer-.*|te|trailer|expect|upgrade|http2-settings|sec-websocket-.*|"
    rb"proxy-connection|keep-alive|if-.*|range"
)
"""Names that say that there is a body, another protocol, or another way to end the connection."""


class PlainHeaders:
    """Judges blocks: everything after the request line, to the empty line."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        """Blocks that were found to be plain."""

    def judge(self, block: bytes) -> bool:
        """Whether the block is whole and plain; remembered if it is."""
        if not _plain(block):
            return False
        if len(self.known) == _REMEMBERED:  # clients that write each block anew, with a trace id or the like
            self.known.clear()
        self.known.add(block)
        return True


def _plain(block: bytes) -> bool:
    at, names = 0, set[bytes]()
    while line := _LINE.match(block, at):
        name, value = line[1].lower(), line[2]
        if name in names or (_UNUSUAL.fullmatch(name) and (name, value.lower()) != (b"connection", b"keep-alive")):
            return False
        names.add(name)
        at = line.end()
    return block[at:] == b"\r\n" and b"host" in names and len(names) <= _MOST
