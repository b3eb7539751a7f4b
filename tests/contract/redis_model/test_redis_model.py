"""The model of Redis that simulations run on answers as a real server does, in everything that the product sends."""

from random import Random
from typing import Any

import pytest
from redis.exceptions import NoScriptError, OutOfMemoryError, ReadOnlyError, RedisError

from tests.contract.redis_model.conftest import Caller, Subject
from writer.cache import scripts
from writer.cache.commands import script
from writer.cache.scripts import Mode

CHANNEL = "billing:invalidate:shop"
INVALIDATED = "__redis__:invalidate"
TRACKING = ("PREFIX", "entitlements:", "PREFIX", "billing:", "NOLOOP")
KEYS = (
    "entitlements:ann:shop",
    "billing:users:shop",
    "billing:changes:7:shop",
    "billing:meta:shop",
    "billing:sidecars:shop",
)


async def prepared(subject: Subject) -> Caller:
    """A connection, and every script loaded."""
    caller = await subject.caller()
    for text in scripts.ALL:
        await caller.run("SCRIPT", "LOAD", text)
    return caller


def document(epoch: int, revision: int) -> bytes:
    """As much of one as the scripts read."""
    return f'{{"epoch":{epoch},"revision":{revision}}}'.encode()


def written(key: str, epoch: int, revision: int, mode: Mode = Mode.NEWER, seconds: int = 0) -> tuple[Any, ...]:
    """The command that writes a document."""
    return script(scripts.WRITE, key, document(epoch, revision), epoch, revision, seconds, mode.value)


def drawn(rng: Random) -> tuple[Any, ...]:
    """Some command that the product sends, on one of few keys, whatever stands there."""
    key, epoch, revision = rng.choice(KEYS), rng.randint(1, 2), rng.randint(1, 4)
    user, mode = rng.choice("abc"), rng.choice(list(Mode))
    token = rng.choice("xy")
    return rng.choice([
        ("GET", key), ("SET", key, rng.choice([document(epoch, revision), b"nothing", b'{"epoch":"1"}'])), ("DEL", key),
        ("EXISTS", key), ("TYPE", key), ("EXPIRE", key, 100), ("HMGET", key, "epoch", "revision", "token"),
        ("HGETALL", key), ("SADD", key, user, rng.choice("abc")), ("SREM", key, user), ("SSCAN", key, 0, "COUNT", 1000),
        ("XADD", key, "MAXLEN", "~", 10000, f"{rng.randint(1, 9)}-0", "message", user), ("XLEN", key),
        ("XRANGE", key, "-", "+", "COUNT", 1), ("XRANGE", key, f"{revision}-0", "+", "COUNT", 2),
        ("XREVRANGE", key, "+", "-", "COUNT", 1), ("ZADD", key, revision, user),
        ("ZRANGEBYSCORE", key, 2, "+inf", "WITHSCORES", "LIMIT", 0, 1000), ("ZREMRANGEBYSCORE", key, "-inf", revision),
        written(key, epoch, revision, mode), written(key, epoch, revision, mode, 50),
        script(scripts.ADVANCE, key, epoch, revision - 1, revision, 3, "aa"),
        script(scripts.BEGIN_REFILL, key, token), script(scripts.END_REFILL, key, token, epoch, revision, 3, "bb"),
    ])  # fmt: skip


def told(reply: Any) -> Any:
    """A reply so that two can be compared: a set's order is nobody's business, of a refusal its kind counts."""
    if isinstance(reply, RedisError):
        words = str(reply)
        return (type(reply).__name__, next((w for w in ("WRONGTYPE", "equal or smaller") if w in words), words))
    if isinstance(reply, tuple) and len(reply) == 2 and isinstance(reply[1], list):
        return (int(reply[0]), sorted(reply[1]))
    return [tuple(part) if isinstance(part, list) else part for part in reply] if isinstance(reply, list) else reply


@pytest.mark.parametrize("seed", range(4))
async def test_every_command_is_answered_alike(both: list[Subject], seed: int) -> None:
    """Whatever stands under a key, of whatever type: each reply of a long random sequence is the same."""
    model, server = [await prepared(subject) for subject in both]
    rng = Random(seed)
    for number in range(600):
        command = drawn(rng)
        expected = await server.run(*command)
        assert told(await model.run(*command)) == told(expected), (number, command)


async def test_what_has_had_its_time_is_gone(subject: Subject) -> None:
    """A document with seconds to live goes when they are over; one that was written again without them stays."""
    caller = await prepared(subject)
    await caller.run(*written(KEYS[0], 1, 1, seconds=1))
    await caller.run("SET", "billing:sidecar:shop:one", b"here", "EX", 1)
    await caller.run(*written("entitlements:bob:shop", 1, 1, seconds=1))
    await caller.run(*written("entitlements:bob:shop", 1, 2))
    await subject.pass_time(1.1)
    assert [await caller.run("GET", key) for key in (KEYS[0], "billing:sidecar:shop:one")] == [None, None]
    assert await caller.run("GET", "entitlements:bob:shop") == document(1, 2)


async def test_a_script_that_was_never_loaded_is_refused(subject: Subject) -> None:
    """The answer names that, so that the caller can load it."""
    caller = await subject.caller()
    assert isinstance(await caller.run("EVALSHA", "0" * 40, 1, "key"), NoScriptError)


async def test_what_is_published_reaches_who_has_subscribed(subject: Subject) -> None:
    """In order, to everybody who listens then; whoever subscribes later hears nothing of it."""
    early, late, publisher = [await subject.caller() for _ in range(3)]
    assert await early.run("SUBSCRIBE", CHANNEL) == [b"subscribe", CHANNEL.encode(), 1]
    assert await publisher.run("PUBLISH", CHANNEL, b"one") == 1
    await late.run("SUBSCRIBE", CHANNEL)
    assert await publisher.run("PUBLISH", CHANNEL, b"two") == 2
    assert [await early.heard(), await early.heard()] == [(CHANNEL.encode(), b"one"), (CHANNEL.encode(), b"two")]
    assert await late.heard() == (CHANNEL.encode(), b"two")


async def test_changed_keys_are_reported_but_for_ones_own_plain_writes(subject: Subject) -> None:
    """What others write, what goes by itself, and what one's own script writes is reported; one's own SADD is not."""
    listener, writer, other = await subject.caller(), await prepared(subject), await subject.caller()
    number = await listener.run("CLIENT", "ID")
    await listener.run("SUBSCRIBE", INVALIDATED)
    assert await writer.run("CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", *TRACKING) in {b"OK", True}

    async def reported() -> Any:
        channel, keys = await listener.heard()
        assert channel == INVALIDATED.encode()
        return keys

    await writer.run("SADD", "billing:users:shop", "ann")
    await other.run("SET", "unrelated", b"x")
    await writer.run(*written(KEYS[0], 1, 1))
    assert await reported() == [KEYS[0].encode()]
    await other.run("SET", KEYS[0], b"by hand")
    assert await reported() == [KEYS[0].encode()]
    await subject.lose(KEYS[0])
    assert await reported() == [KEYS[0].encode()]
    await subject.lose(KEYS[0])
    await other.run("EXPIRE", "billing:users:shop", 100)
    assert await reported() == [b"billing:users:shop"]
    await subject.flush()
    assert await reported() is None
    await writer.run("CLIENT", "TRACKING", "OFF")
    await other.run("SET", KEYS[0], b"unheard")
    await other.run("PUBLISH", INVALIDATED, b"end")
    assert await reported() == b"end"


async def test_reports_to_nobody_are_refused(subject: Subject) -> None:
    """Whoever names a client that is gone hears so."""
    caller = await subject.caller()
    refusal = await caller.run("CLIENT", "TRACKING", "ON", "REDIRECT", 999_999, "BCAST", *TRACKING)
    assert "does not exist" in str(refusal)


async def test_a_full_redis_refuses_what_makes_it_grow_and_nothing_else(subject: Subject) -> None:
    """Documents, sets and logs are refused; publishing, reading, deleting, and scripts that begin with that, go on."""
    caller = await prepared(subject)
    await caller.run("SET", KEYS[0], b"x")
    await caller.run("XADD", KEYS[2], "MAXLEN", "~", 10000, "5-0", "message", "m")
    for command in (
        script(scripts.BEGIN_REFILL, KEYS[3], "x"),
        script(scripts.END_REFILL, KEYS[3], "x", 1, 0, 0, "aa"),
    ):
        await caller.run(*command)
    await subject.refuse_growth()
    for command in (
        ("SET", KEYS[0], b"y"), ("SADD", KEYS[1], "ann"), written(KEYS[0], 1, 1), ("ZADD", KEYS[4], 1, "one"),
        ("XADD", KEYS[2], "MAXLEN", "~", 10000, "6-0", "message", "m"),
        script(scripts.ADVANCE, KEYS[3], 1, 0, 1, 0, "aa"),
    ):  # fmt: skip
        assert isinstance(await caller.run(*command), OutOfMemoryError), command
    assert await caller.run(*script(scripts.BEGIN_REFILL, KEYS[3], "x")) == 1
    assert await caller.run(*script(scripts.END_REFILL, KEYS[3], "y", 1, 1, 0, "aa")) == 0
    assert await caller.run(*script(scripts.END_REFILL, KEYS[3], "x", 1, 1, 0, "aa")) == 1
    assert await caller.run("PUBLISH", CHANNEL, b"one") == 0
    assert await caller.run("GET", KEYS[0]) == b"x"
    assert await caller.run("EXPIRE", KEYS[0], 100) is True
    assert await caller.run("DEL", KEYS[0]) == 1


async def test_a_trimmed_log_knows_its_last_id(subject: Subject) -> None:
    """What was trimmed away is gone, and an id that was given once is refused for ever."""
    caller = await subject.caller()
    for number in range(1, 6):
        await caller.run("XADD", KEYS[2], "MAXLEN", "~", 10000, f"{number}-0", "message", "m")
    await subject.trim(KEYS[2], 2)
    assert [name for name, _ in await caller.run("XRANGE", KEYS[2], "-", "+")] == [b"4-0", b"5-0"]
    await subject.trim(KEYS[2], 0)
    assert await caller.run("XLEN", KEYS[2]) == 0
    refusal = await caller.run("XADD", KEYS[2], "MAXLEN", "~", 10000, "5-0", "message", "m")
    assert "equal or smaller" in str(refusal)


async def test_a_read_only_replica_refuses_every_write(subject: Subject) -> None:
    """Also a script's, unless it comes to the end without one; reading and publishing go on."""
    caller = await prepared(subject)
    await caller.run(*written(KEYS[0], 1, 2))
    await subject.become_read_only()
    for command in (("DEL", KEYS[0]), ("SADD", KEYS[1], "ann"), written(KEYS[0], 1, 3), ("EXPIRE", KEYS[0], 9),
                    script(scripts.BEGIN_REFILL, KEYS[3], "x")):  # fmt: skip
        assert isinstance(await caller.run(*command), ReadOnlyError), command
    assert await caller.run(*written(KEYS[0], 1, 2)) == 0
    assert await caller.run("GET", KEYS[0]) == document(1, 2)
