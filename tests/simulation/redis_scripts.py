"""The scripts of `writer.cache.scripts`, as the model of Redis runs them: each on one key."""

from collections.abc import Callable, MutableMapping, Sequence
from hashlib import sha1
from typing import Any, Final

import orjson

from writer.cache import scripts
from writer.lineage import LAST_EPOCH

Set = Callable[..., None]
Script = Callable[[MutableMapping[str, Any], Set, str, Sequence[str]], Any]
"""Given the keys that there are, how one is set, the key and the arguments.

One is set by key, value and seconds to live or 0; `after_deletion` of a script that has deleted it before: a server
that is out of memory refuses a script's first write if it would grow by it, and then none.
"""


def _write(held: MutableMapping[str, Any], put: Set, key: str, arguments: Sequence[str]) -> Any:
    text, mode = arguments[0], arguments[4]
    epoch, revision, seconds = map(int, arguments[1:4])
    value = held.get(key)
    if value is None and mode == "replace":
        return 0
    if isinstance(value, bytes):
        position = _position(value)
        if position is not None:
            if position > (epoch, revision):
                return f"{position[0]}.{position[1]}".encode()
            if position == (epoch, revision) and mode == "newer":
                return 0
    put(key, text.encode(), seconds)
    return 1


def _position(value: bytes) -> tuple[int, int] | None:
    try:
        parsed = orjson.loads(value)
        position = (parsed["epoch"], parsed["revision"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return position if all(type(part) is int for part in position) and position[0] <= LAST_EPOCH else None


def _advance(held: MutableMapping[str, Any], put: Set, key: str, arguments: Sequence[str]) -> Any:
    meta = held.get(key)
    try:
        position = (int(meta[b"epoch"]), int(meta[b"revision"]))  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        return b"missing"
    epoch, before, after = map(int, arguments[:3])
    if position < (epoch, before):
        return b"behind"
    if position > (epoch, after):
        return b"ahead"
    put(key, {**held[key], **_standing(arguments[0], *arguments[2:])}, 0)
    return b"advanced"


def _begin_refill(held: MutableMapping[str, Any], put: Set, key: str, arguments: Sequence[str]) -> Any:
    put(key, {b"token": arguments[0].encode()}, 0, after_deletion=True)
    return 1


def _end_refill(held: MutableMapping[str, Any], put: Set, key: str, arguments: Sequence[str]) -> Any:
    meta = held.get(key)
    if not isinstance(meta, dict) or meta.get(b"token") != arguments[0].encode():
        return 0
    put(key, _standing(*arguments[1:]), 0, after_deletion=True)
    return 1


def _standing(*values: str) -> dict[bytes, bytes]:
    return {
        name: value.encode() for name, value in zip((b"epoch", b"revision", b"count", b"digest"), values, strict=True)
    }


SCRIPTS: Final[dict[str, Script]] = {
    sha1(text.encode(), usedforsecurity=False).hexdigest(): run
    for text, run in (
        (scripts.WRITE, _write),
        (scripts.ADVANCE, _advance),
        (scripts.BEGIN_REFILL, _begin_refill),
        (scripts.END_REFILL, _end_refill),
    )
}
"""By the hash that Redis knows them by."""
