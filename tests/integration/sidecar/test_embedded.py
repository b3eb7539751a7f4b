"""The replica inside an app's own process."""

import asyncio

import orjson
import pytest
from msgspec.structs import replace

from common.problems import Problem
from sidecar import Replica
from sidecar.embedded import NotSyncedError
from tests.support.history import History, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar, until
from tests.support.writer_double import KEY, WriterDouble

ASKED = (
    ("ann", "pro", None),
    ("bob", "seats", None),
    ("bob", "seats", 3),
    ("cyd", "pro", None),
    ("cyd", "free", None),
    ("ann", "misspelt", None),
)


async def _http(running: Running, user: str, feature: str, used: int | None) -> dict[str, object]:
    answer = await running.check(user, feature, **({} if used is None else {"used": str(used)}))
    return {name: value for name, value in answer.items() if name not in {"age_ms", "stale"}}


async def test_it_answers_as_the_sidecar_does(
    redis_url: str, publisher: Publisher, writer: WriterDouble, history: History, start_sidecar: StartSidecar
) -> None:
    """Every member of every answer is the sidecar's, at first, when it is remembered, and after changes."""
    running = await start_sidecar(redis_url, writer.url)
    async with Replica.open("shop", redis_url=redis_url, writer_url=writer.url, api_key=KEY) as replica:
        for change in (None, ("ann", ()), ("cyd", (grant(),)), ("bob", (grant("seats", 9),))):
            if change is not None:
                history.change(change[0], *change[1])
                await publisher.relay()
            await publisher.heartbeat()
            await until(lambda: replica.token == history.position.token and running.revision == history.revision)
            for user, feature, used in (*ASKED, *ASKED):
                answer = replica.check(user, feature, used=used)
                expected = await _http(running, user, feature, used)
                told = {name: getattr(answer, name) for name in expected}
                assert orjson.loads(orjson.dumps(told, default=list)) == expected
                assert bool(answer) is expected["allowed"]
                asked = await replica.ask(user, feature, used=used)
                assert replace(asked, age_ms=0, stale=False) == replace(answer, age_ms=0, stale=False)


async def test_it_follows_and_waits_for_a_revision(
    redis_url: str, publisher: Publisher, writer: WriterDouble, history: History
) -> None:
    """What is committed is seen, and `min_revision` waits for it."""
    async with Replica.open("shop", redis_url=redis_url, writer_url=writer.url, api_key=KEY) as replica:
        assert not replica.check("dan", "pro")
        asked = asyncio.create_task(replica.ask("dan", "pro", min_revision=f"1.{history.revision + 1}"))
        await asyncio.sleep(0)
        history.change("dan", grant())
        await publisher.relay()
        assert (await asked).allowed
        assert replica.check("dan", "pro").allowed
        assert [row["feature_code"] for row in replica.entitlements("dan")["entitlements"]] == ["pro"]
        assert replica.entitlements("nobody")["entitlements"] == []


async def test_staleness_and_the_stale_policy_are_the_sidecars(redis_url: str, publisher: Publisher) -> None:
    """A copy that nobody vouches for says that it is stale, and then follows the policy that was set."""
    settings = {"SIDECAR_STALE_AFTER": "100ms", "SIDECAR_MAX_STALE": "200ms", "SIDECAR_ON_STALE": "deny"}
    async with Replica.open("shop", redis_url=redis_url, settings=settings) as replica:
        await publisher.heartbeat()
        await until(lambda: replica.check("ann", "pro").reason == "granted")
        await until(lambda: replica.check("ann", "pro").reason == "stale_denied")
        assert not replica.check("ann", "pro")
        await publisher.heartbeat()
        await until(lambda: replica.check("ann", "pro").reason == "granted")


async def test_what_cannot_be_loaded_is_told(redis_url: str) -> None:
    """Without anything to load within the time, opening fails instead of answering wrongly."""
    with pytest.raises(NotSyncedError, match="nowhere"):
        async with Replica.open("nowhere", redis_url=redis_url, wait=0.1):
            pass


async def test_a_bad_question_is_refused(redis_url: str, publisher: Publisher) -> None:
    """As over HTTP: with what is wrong, and nothing is answered."""
    assert publisher is not None
    async with Replica.open("shop", redis_url=redis_url) as replica:
        for user, feature in (("", "pro"), ("a" * 256, "pro"), ("ann", "p/ro"), ("ann", "")):
            with pytest.raises(Problem):
                replica.check(user, feature)
