"""A model of Redis at the level of commands: those that the product sends, answered as redis-py hands the answers on.

`tests/contract/redis_model` runs the same cases against it and against a real server; what is not compared there
is not in here.
"""

import copy
from collections.abc import Callable, Sequence
from hashlib import sha1
from itertools import count
from typing import Any, Final

from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError

from tests.simulation.redis_scripts import SCRIPTS
from tests.simulation.redis_values import Client, Sorted, Stream, text_of

INVALIDATED: Final = "__redis__:invalidate"
_WRONG_TYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"
_TOO_SMALL: Final = "The ID specified in XADD is equal or smaller than the target stream top item"
_OUT_OF_MEMORY: Final = "command not allowed when used memory > 'maxmemory'."
_READ_ONLY: Final = "You can't write against a read only replica."
_GROWING: Final = frozenset({"SET", "SADD", "XADD", "ZADD"})
_WRITING: Final = _GROWING | {"DEL", "SREM", "EXPIRE", "ZREMRANGEBYSCORE"}


class RedisModel:
    """`now`: seconds, for what expires."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.held: dict[str, Any] = {}
        self.expires: dict[str, float] = {}
        self.clients: dict[int, Client] = {}
        self.refuses_growth = False
        """Out of memory, and nothing may be evicted."""
        self.read_only = False
        self.on_write: Callable[[str, Any, Any], None] | None = None
        """Told of each key that a client writes or deletes: key, value before, value after."""
        self.on_lose: Callable[[str], None] | None = None
        """Told of each key that goes by itself or by hand."""
        self._now = now
        self._numbers = count(1)
        self._scripts: set[str] = set()
        self._clock = 0.0

    def connect(self, push: Callable[[list[Any]], None]) -> Client:
        """A new client."""
        client = Client(next(self._numbers), push)
        self.clients[client.number] = client
        return client

    def disconnect(self, client: Client) -> None:
        """It is gone."""
        self.clients.pop(client.number, None)

    def execute(self, client: Client, command: Sequence[Any]) -> Any:
        """The reply; a refusal is an exception that is returned."""
        name, *arguments = (text_of(word) for word in command)
        if name in {"SCRIPT", "CLIENT"}:
            name = f"{name}_{arguments.pop(0)}"
        if name in _WRITING and self.read_only:
            return ReadOnlyError(_READ_ONLY)
        if name in _GROWING and self.refuses_growth:
            return OutOfMemoryError(_OUT_OF_MEMORY)
        self.expire()
        try:
            return getattr(self, f"_{name.lower()}")(client, *arguments)
        except ResponseError as refusal:
            return refusal

    # What happens to Redis from outside.

    def expire(self) -> None:
        """Let go of what has had its time."""
        if self.expires:
            now = self._now()
            for key in [key for key, at in self.expires.items() if at <= now]:
                self.lose(key)

    def lose(self, key: str) -> None:
        """A key went by itself, or somebody deleted it by hand."""
        self.expires.pop(key, None)
        if self.held.pop(key, None) is not None:
            if self.on_lose is not None:
                self.on_lose(key)
            self._report(None, key)

    def flush(self) -> None:
        """FLUSHALL."""
        self.held.clear()
        self.expires.clear()
        for client in list(self.clients.values()):
            if client.reports_to is not None:
                self._push_report(client.reports_to, None)

    def restart(self, dump: "RedisModel | None" = None) -> None:
        """Come up again, empty or with what a dump holds; no client is left."""
        self.held = {} if dump is None else copy.deepcopy(dump.held)
        self.expires = {} if dump is None else dict(dump.expires)
        self.clients.clear()
        self._scripts.clear()
        self.refuses_growth = self.read_only = False

    def dump(self) -> "RedisModel":
        """What a replica holds that has come as far as this."""
        other = RedisModel(self._now)
        other.held, other.expires = copy.deepcopy(self.held), dict(self.expires)
        return other

    def _get(self, client: Client, key: str) -> bytes | None:
        value = self.held.get(key)
        if value is not None and not isinstance(value, bytes):
            raise ResponseError(_WRONG_TYPE)
        return value

    def _set(self, client: Client, key: str, value: str, *expiry: str) -> bool:
        self._put(client, key, value.encode(), int(expiry[1]) if expiry else 0)
        return True

    def _del(self, client: Client, *keys: str) -> int:
        gone = [key for key in keys if key in self.held]
        for key in gone:
            self._put(client, key, None)
        return len(gone)

    def _exists(self, client: Client, key: str) -> int:
        return int(key in self.held)

    def _type(self, client: Client, key: str) -> bytes:
        names = {bytes: b"string", dict: b"hash", set: b"set", Stream: b"stream"}
        value = self.held.get(key)
        return b"none" if value is None else names.get(type(value), b"zset")

    def _expire(self, client: Client, key: str, seconds: str) -> bool:
        if key not in self.held:
            return False
        self.expires[key] = self._now() + int(seconds)
        self._report(client, key)
        return True

    def _hmget(self, client: Client, key: str, *fields: str) -> list[bytes | None]:
        value = self._typed(key, dict)
        return [value.get(field.encode()) for field in fields]

    def _hgetall(self, client: Client, key: str) -> dict[bytes, bytes]:
        return dict(self._typed(key, dict))

    def _sadd(self, client: Client, key: str, *members: str) -> int:
        value = self._typed(key, set)
        new = {member.encode() for member in members} - value
        if new:
            self._put(client, key, value | new)
        return len(new)

    def _srem(self, client: Client, key: str, *members: str) -> int:
        value = self._typed(key, set)
        gone = {member.encode() for member in members} & value
        if gone:
            self._put(client, key, (value - gone) or None)
        return len(gone)

    def _sscan(self, client: Client, key: str, cursor: str, *_: str) -> tuple[int, list[bytes]]:
        return 0, sorted(self._typed(key, set))

    # Streams: ids are `<number>-0`.

    def _xadd(self, client: Client, key: str, _max: str, _about: str, _most: str, name: str, *field: str) -> bytes:
        stream = self._typed(key, Stream)
        number = int(name.partition("-")[0])
        if number <= stream.last:
            raise ResponseError(_TOO_SMALL)
        grown = Stream()
        grown.entries = {**stream.entries, number: {field[0].encode(): field[1].encode()}}
        grown.last = number
        self._put(client, key, grown)
        return name.encode()

    def _xrange(self, client: Client, key: str, low: str, high: str, *limit: str) -> list[Any]:
        entries = self._typed(key, Stream).entries
        first = 0 if low == "-" else int(low.partition("-")[0])
        found = [(f"{number}-0".encode(), dict(fields)) for number, fields in entries.items() if number >= first]
        return found[: int(limit[1])] if limit else found

    def _xrevrange(self, client: Client, key: str, high: str, low: str, *limit: str) -> list[Any]:
        return self._xrange(client, key, low, high)[::-1][: int(limit[1])]

    def _xlen(self, client: Client, key: str) -> int:
        return len(self._typed(key, Stream).entries)

    def trim(self, key: str, keep: int) -> None:
        """XTRIM by hand: only the last `keep` entries stay."""
        stream = self.held.get(key)
        if isinstance(stream, Stream):
            kept = Stream()
            kept.entries = dict(list(stream.entries.items())[len(stream.entries) - keep :]) if keep else {}
            kept.last = stream.last
            self.held[key] = kept
            self._report(None, key)

    def _zadd(self, client: Client, key: str, score: str, member: str) -> int:
        value = self._typed(key, Sorted)
        self._put(client, key, Sorted({**value, member.encode(): float(score)}))
        return int(member.encode() not in value)

    def _zrangebyscore(self, client: Client, key: str, low: str, high: str, *_: str) -> list[bytes]:
        scored = sorted((score, member) for member, score in self._typed(key, Sorted).items() if score >= float(low))
        return [part for score, member in scored for part in (member, f"{score:.17g}".encode())]

    def _zremrangebyscore(self, client: Client, key: str, low: str, high: str) -> int:
        value = self._typed(key, Sorted)
        kept = Sorted({member: score for member, score in value.items() if score > float(high)})
        if len(kept) < len(value):
            self._put(client, key, kept or None)
        return len(value) - len(kept)

    def _script_load(self, client: Client, text: str) -> str:
        name = sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._scripts.add(name)
        return name

    def _evalsha(self, client: Client, name: str, _: str, key: str, *arguments: str) -> Any:
        if name not in self._scripts:
            raise NoScriptError("No matching script.")
        return SCRIPTS[name](self.held, self._put_by_script, key, arguments)

    def _put_by_script(self, key: str, value: Any, seconds: int, *, after_deletion: bool = False) -> None:
        if self.read_only:
            raise ReadOnlyError(_READ_ONLY)
        if self.refuses_growth and not after_deletion:
            raise OutOfMemoryError(_OUT_OF_MEMORY)
        # It counts as written by somebody else: it is reported to the script's own client as well.
        self._put(None, key, value, seconds, by_client=True)

    def _publish(self, client: Client, channel: str, message: str) -> int:
        listening = [one for one in self.clients.values() if channel in one.channels]
        for one in listening:
            one.push([b"message", channel.encode(), message.encode()])
        return len(listening)

    def _subscribe(self, client: Client, channel: str) -> list[Any]:
        client.channels.add(channel)
        return [b"subscribe", channel.encode(), len(client.channels)]

    def _ping(self, client: Client) -> Any:
        return [b"pong", b""] if client.channels else True

    def _client_id(self, client: Client) -> int:
        return client.number

    def _client_tracking(self, client: Client, switch: str, *options: str) -> bytes:
        if switch == "OFF":
            client.reports_to, client.prefixes = None, ()
            return b"OK"
        listener = int(options[options.index("REDIRECT") + 1])
        if listener not in self.clients:
            raise ResponseError("The client ID you want redirect to does not exist")
        client.reports_to = listener
        client.prefixes = tuple(options[at + 1] for at, word in enumerate(options) if word == "PREFIX")
        return b"OK"

    def _typed(self, key: str, kind: Any) -> Any:
        value = self.held.get(key)
        if value is None:
            return kind()
        if type(value) is not kind:
            raise ResponseError(_WRONG_TYPE)
        return value

    def _put(self, client: Client | None, key: str, value: Any, seconds: int = 0, *, by_client: bool = False) -> None:
        before = self.held.get(key)
        if value is None:
            self.held.pop(key, None)
        else:
            self.held[key] = value
        if seconds:
            self.expires[key] = self._now() + seconds
        elif value is None or isinstance(value, bytes):
            self.expires.pop(key, None)
        if self.on_write is not None and (client is not None or by_client):
            self.on_write(key, before, value)
        self._report(client, key)

    def _report(self, by: Client | None, key: str) -> None:
        for client in list(self.clients.values()):
            if client.reports_to is not None and client is not by and key.startswith(client.prefixes):
                self._push_report(client.reports_to, [key.encode()])

    def _push_report(self, listener: int, keys: list[bytes] | None) -> None:
        heard = self.clients.get(listener)
        if heard is not None and INVALIDATED in heard.channels:
            heard.push([b"message", INVALIDATED.encode(), keys])
