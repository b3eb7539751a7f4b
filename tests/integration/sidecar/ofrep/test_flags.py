"""The OpenFeature Remote Evaluation Protocol, as its description has it: flags, types, errors."""

import asyncio
from typing import Any

import orjson
import pytest

from common.document import MAX_LIMIT
from sidecar.ofrep_errors import ErrorCode
from tests.support.history import History, grant
from tests.support.ofrep import ANN, THEME, evaluate
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar, until
from tests.support.writer_double import WriterDouble


@pytest.mark.parametrize(
    ("user", "key", "told"),
    [
        ("ann", "pro", ("on", True, "TARGETING_MATCH")),
        ("bob", "pro", ("off", False, "DISABLED")),
        ("eve", "pro", ("off", False, "DISABLED")),
        ("eve", "free", ("on", True, "STATIC")),
        ("ann", "seats", ("5", 5, "TARGETING_MATCH")),
        ("eve", "seats", ("off", 0, "DISABLED")),
        ("eve", "storage", ("3", 3, "STATIC")),
        ("ann", "storage", ("unlimited", MAX_LIMIT, "TARGETING_MATCH")),
        ("ann", "region", ("on", "us", "TARGETING_MATCH")),
        ("eve", "region", ("on", "eu", "STATIC")),
        ("eve", "support", ("off", None, "DISABLED")),
        ("ann", "theme", ("on", THEME, "TARGETING_MATCH")),
        ("ann", "theme:colour", ("on", "green", "TARGETING_MATCH")),
        ("ann", "theme:nothing", ("on", None, "TARGETING_MATCH")),
        ("ann", "support:colour", ("on", None, "TARGETING_MATCH")),
        ("eve", "theme:colour", ("off", None, "DISABLED")),
    ],
)
async def test_a_flag_has_the_type_of_its_feature(
    running: Running, user: str, key: str, told: tuple[str, Any, str]
) -> None:
    """Booleans, whole numbers, texts and objects; a value that nobody can give is left to the app's code."""
    status, flag, _ = await evaluate(running, key, {"targetingKey": user})
    assert (status, flag["key"]) == (200, key)
    assert (flag["variant"], flag.get("value"), flag["reason"]) == told
    assert ("value" in flag) == (told[1] is not None)


async def test_metadata_says_why_and_how_old(running: Running, history: History) -> None:
    """Only texts, numbers and booleans, as clients keep nothing else."""
    _, flag, _ = await evaluate(running, "storage", ANN)
    assert flag["metadata"].pop("age_ms") >= 0
    assert flag["metadata"] == {
        "kind": "limit",
        "reason": "granted",
        "source": "subscription",
        "unlimited": True,
        "epoch": 1,
        "revision": history.revision,
        "stale": True,
    }
    _, flag, _ = await evaluate(running, "pro", {"targetingKey": "bob"})
    told = flag["metadata"]
    assert (told["reason"], told["valid_to"], told["unlocked_by"]) == (
        "expired",
        "1970-01-01T00:00:00.000002Z",
        "price_pro",
    )


async def test_a_float_keeps_its_decimal_point(running: Running) -> None:
    """Typed clients refuse a whole number where they asked for a float."""
    url = f"http://{running.sidecar.address}/ofrep/v1/evaluate/flags/theme:size"
    async with running.session.post(url, json={"context": ANN}) as response:
        assert b'"value":2.0,' in await response.read()


async def test_unlimited_is_the_number_that_was_asked_for(running: Running) -> None:
    """A client whose whole numbers have 32 bits says what to give instead."""
    _, flag, _ = await evaluate(running, "storage", {**ANN, "unlimited_as": 2**31 - 1})
    assert (flag["value"], flag["metadata"]["unlimited"]) == (2**31 - 1, True)
    _, bulk, _ = await evaluate(running, None, {**ANN, "unlimited_as": 7})
    assert {flag["key"]: flag.get("value") for flag in bulk["flags"]}["storage"] == 7


@pytest.mark.parametrize("key", ["pro", None])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "PARSE_ERROR"),
        (b"", "PARSE_ERROR"),
        (b"[]", "INVALID_CONTEXT"),
        (b'{"context":"ann"}', "INVALID_CONTEXT"),
        (b"{}", "TARGETING_KEY_MISSING"),
        (b'{"context":{"email":"ann@example.com"}}', "TARGETING_KEY_MISSING"),
        (b'{"context":{"targetingKey":""}}', "TARGETING_KEY_MISSING"),
        (b'{"context":{"targetingKey":5}}', "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":"a\\u0000b"}}', "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":"ann","project_id":"other"}}', "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":"ann","project_id":7}}', "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":"ann","min_revision":"x"}}', "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":"ann","unlimited_as":true}}', "INVALID_CONTEXT"),
        (b'{"context":{"targetingKey":"ann","unlimited_as":0}}', "INVALID_CONTEXT"),
    ],
)
async def test_an_error_has_a_code_of_the_protocol(running: Running, key: str | None, body: bytes, code: str) -> None:
    """400 with `errorCode` and `errorDetails`, and the flag where one was asked for."""
    status, error, headers = await evaluate(running, key, body)
    assert (status, error.pop("errorCode"), error.pop("key", None)) == (400, code, key)
    assert error.keys() == {"errorDetails"}
    assert error["errorDetails"]
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("key", ["nothing", "no%20spaces", "pro:colour", "nothing:colour", ":colour"])
async def test_an_unknown_flag_is_not_found(running: Running, key: str) -> None:
    """404, so that a client takes the default in its code."""
    status, error, _ = await evaluate(running, key, ANN)
    assert (status, error["errorCode"]) == (404, "FLAG_NOT_FOUND")
    assert error["key"] == key.replace("%20", " ")
    assert error["errorDetails"]


async def test_a_body_that_is_too_large_is_refused(running: Running) -> None:
    """A context is small; the answer stays one that clients can read."""
    status, error, _ = await evaluate(running, "pro", b" " * 70_000)
    assert (status, error["errorCode"]) == (413, "PARSE_ERROR")


async def test_a_cold_sidecar_answers_500(start_sidecar: StartSidecar) -> None:
    """Clients know 500 as an error, and nothing above."""
    running = await start_sidecar("redis://127.0.0.1:1/0")
    for key in ("pro", None):
        status, error, _ = await evaluate(running, key, ANN)
        assert (status, error["errorCode"]) == (500, "GENERAL")
        assert "not loaded yet" in error["errorDetails"]


async def test_several_projects_need_a_project(
    redis_url: str, publisher: Publisher, start_sidecar: StartSidecar
) -> None:
    """The context names it, and the error says how."""
    running = await start_sidecar(redis_url, SIDECAR_PROJECT="shop,other", SIDECAR_API_KEY="")
    await until(lambda: running.project.replica.synced)
    status, error, _ = await evaluate(running, "pro", ANN)
    assert (status, error["errorCode"]) == (400, "INVALID_CONTEXT")
    assert "project_id" in error["errorDetails"]
    status, flag, _ = await evaluate(running, "pro", {"user_id": "ann", "project_id": "shop"})
    assert (status, flag["value"]) == (200, True)


async def test_a_payer_reads_their_own_payment(running: Running, publisher: Publisher, history: History) -> None:
    """`min_revision` in the context waits for it, for one flag and for all."""
    change = history.change("payer", grant())
    context = {"targetingKey": "payer", "min_revision": change.position.token}
    asked = [asyncio.create_task(evaluate(running, key, context)) for key in ("pro", None)]
    await until(lambda: len(running.project.arrivals._waiting) == 2)
    await publisher.relay()
    (_, flag, _), (_, bulk, _) = await asyncio.gather(*asked)
    assert flag["value"] is True
    assert next(one for one in bulk["flags"] if one["key"] == "pro")["value"] is True


async def test_a_miss_in_an_incomplete_copy_is_asked_of_the_writer(
    running: Running, history: History, writer: WriterDouble
) -> None:
    """As for a check: the same rules answer."""
    copy = running.project.replica.copy
    assert copy is not None
    copy.compare(copy.position, 0, 0)
    history.change("new", grant())
    _, flag, _ = await evaluate(running, "pro", {"targetingKey": "new"})
    assert (flag["value"], flag["metadata"]["stale"]) == (True, False)
    writer.down = True
    _, bulk, _ = await evaluate(running, None, {"targetingKey": "another"})
    assert bulk["metadata"]["stale"] is True


async def test_what_nobody_expected_is_told_in_the_same_shape(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours is logged with its trace, and never shown."""

    def broken(*_: object) -> None:
        raise RuntimeError("the secret reason")

    monkeypatch.setattr("sidecar.ofrep.flag_of", broken)
    for key in ("pro", None):
        status, error, _ = await evaluate(running, key, ANN)
        assert (status, error["errorCode"]) == (500, ErrorCode.GENERAL)
        assert b"secret" not in orjson.dumps(error)
    assert "the secret reason" in caplog.text
