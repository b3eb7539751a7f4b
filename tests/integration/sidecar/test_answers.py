"""The sidecar's HTTP face."""

import asyncio
import time
from io import BytesIO

import orjson
import pytest

from common import document as documents
from common.clock import SystemClock
from common.identifiers import UserId
from sidecar import answering
from sidecar.freshness import State
from sidecar.metrics import Metrics
from tests.support.history import History, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar, until
from tests.support.writer_double import WriterDouble


@pytest.fixture
async def running(redis_url: str, publisher: Publisher, writer: WriterDouble, start_sidecar: StartSidecar) -> Running:
    """A sidecar in step."""
    running = await start_sidecar(redis_url, writer.url)
    await until(lambda: running.project.replica.synced)
    await publisher.heartbeat()
    await until(lambda: running.project.freshness.state(SystemClock().monotonic()) is State.FRESH)
    return running


async def test_a_check_answers_in_the_agreed_shape(running: Running, history: History) -> None:
    """Every member of the answer, as apps read it."""
    answer = await running.check("bob", "seats", used="4", project_id="shop")
    assert answer.pop("age_ms") >= 0
    assert answer == {
        "allowed": True,
        "user_id": "bob",
        "project_id": "shop",
        "feature": "seats",
        "value": 5,
        "source": "subscription",
        "valid_to": None,
        "reason": "granted",
        "epoch": 1,
        "revision": history.revision,
        "stale": False,
        "remaining": 1,
    }


async def test_head_is_answered_like_get(running: Running) -> None:
    """HEAD on a check has the status and no body."""
    url = f"http://{running.sidecar.address}/api/v1/check"
    async with running.session.head(url, params={"user_id": "ann", "feature": "pro"}) as response:
        assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"feature": "pro"}, 400, "user_required"),
        ({"user_id": "", "feature": "pro"}, 400, "user_required"),
        ({"user_id": "a\x00b", "feature": "pro"}, 400, "invalid_user"),
        ({"user_id": "u" * 256, "feature": "pro"}, 400, "invalid_user"),
        ({"user_id": "ann"}, 400, "feature_required"),
        ({"user_id": "ann", "feature": "no spaces"}, 400, "invalid_feature"),
        ({"user_id": "ann", "feature": "pro", "used": "-1"}, 400, "invalid_used"),
        ({"user_id": "ann", "feature": "pro", "used": "many"}, 400, "invalid_used"),
        ({"user_id": "ann", "feature": "pro", "used": "9" * 5_000}, 400, "invalid_used"),
        ({"user_id": "ann", "feature": "pro", "min_revision": "7"}, 400, "invalid_min_revision"),
        ({"user_id": "ann", "feature": "pro", "project_id": "other"}, 404, "unknown_project"),
    ],
)
async def test_a_bad_question_is_a_problem_with_a_code(
    running: Running, parameters: dict[str, str], status: int, code: str
) -> None:
    """What is wrong has a stable code, and a detail that says what is allowed."""
    got, problem = await running.get("check", **parameters)
    assert (got, problem["code"], problem["status"]) == (status, code, status)
    assert problem["detail"]


async def test_an_unknown_project_lists_what_is_held(running: Running) -> None:
    """404 names the projects of this sidecar."""
    _, problem = await running.get("check", user_id="ann", feature="pro", project_id="other")
    assert problem["projects"] == ["shop"]


async def test_an_unknown_path_and_method_are_problems(running: Running) -> None:
    """404 and 405 with codes."""
    assert (await running.get("nothing"))[1]["code"] == "route_not_found"
    assert (await running.post("entitlements", b""))[1]["code"] == "method_not_allowed"


async def test_entitlements_are_the_document(running: Running, history: History) -> None:
    """The document as published, with how old the copy is; a stranger has an empty one."""
    _, answer = await running.get("entitlements", user_id="ann")
    assert (answer.pop("stale"), answer.pop("age_ms") >= 0) == (False, True)
    assert answer == documents.to_json(history.documents[UserId("ann")])
    _, answer = await running.get("entitlements", user_id="stranger")
    assert (answer["entitlements"], answer["revision"]) == ([], history.revision)
    assert (await running.get("entitlements"))[1]["code"] == "user_required"


async def test_a_batch_has_one_answer_each_at_one_revision(running: Running, history: History) -> None:
    """Answers come in the order of the questions."""
    checks = [
        {"user_id": "ann", "feature": "pro"},
        {"user_id": "bob", "feature": "seats", "used": 2},
        {"user_id": "stranger", "feature": "pro"},
    ]
    status, body = await running.post("check", orjson.dumps({"checks": checks, "project_id": "shop"}))
    assert status == 200
    assert [answer["allowed"] for answer in body["answers"]] == [True, True, False]
    assert body["answers"][1]["remaining"] == 3
    assert {answer["revision"] for answer in body["answers"]} == {body["revision"]} == {history.revision}


@pytest.mark.parametrize(
    ("body", "code", "index"),
    [
        (b"not json", "invalid_json", None),
        (b"[]", "invalid_body", None),
        (b"{}", "invalid_checks", None),
        (b'{"checks":[]}', "invalid_checks", None),
        (orjson.dumps({"checks": [{"user_id": "a", "feature": "b"}] * 1001}), "invalid_checks", None),
        (b'{"checks":[{"user_id":"a","feature":"b"},7]}', "invalid_checks", 1),
        (b'{"checks":[{"user_id":"a","feature":"b"},{"user_id":"a"}]}', "feature_required", 1),
        (b'{"checks":[{"user_id":5,"feature":"b"}]}', "invalid_user", 0),
        (b'{"checks":[{"user_id":"a","feature":"b","used":true}]}', "invalid_used", 0),
        (b'{"checks":[{"user_id":"a","feature":"b","used":-3}]}', "invalid_used", 0),
        (b'{"checks":[{"user_id":"a","feature":"b"}],"project_id":7}', "invalid_project", None),
        (b'{"checks":[{"user_id":"a","feature":"b"}],"min_revision":"x"}', "invalid_min_revision", None),
    ],
)
async def test_a_bad_batch_names_the_element(running: Running, body: bytes, code: str, index: int | None) -> None:
    """The whole batch is refused, and the problem says which question was wrong."""
    status, problem = await running.post("check", body)
    assert (status, problem["code"], problem.get("index")) == (400, code, index)


async def test_a_body_that_is_too_large_is_refused(running: Running) -> None:
    """413 with a code."""
    status, problem = await running.post("check", BytesIO(b" " * (1024 * 1024 + 1)))
    assert (status, problem["code"]) == (413, "body_too_large")


async def test_min_revision_waits_until_the_copy_has_it(
    running: Running, publisher: Publisher, history: History, writer: WriterDouble
) -> None:
    """A payer's question is answered with the payment in it, without asking the writer."""
    change = history.change("payer", grant())
    asked = asyncio.create_task(running.check("payer", min_revision=change.position.token))
    await until(lambda: running.project.arrivals._waiting)
    await publisher.relay()
    answer = await asked
    assert (answer["allowed"], answer["revision"]) == (True, change.position.revision)
    assert "behind" not in answer
    assert writer.asked["entitlements"] == 0


async def test_a_newer_epoch_satisfies_any_min_revision(running: Running) -> None:
    """A token of an older lineage is reached by every copy of ours."""
    assert "behind" not in await running.check("ann", min_revision="0.999999")


async def test_min_revision_that_does_not_come_is_asked_of_the_writer_once(
    running: Running, history: History, writer: WriterDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishing is broken: the writer's own document answers, one question for all who wait."""
    monkeypatch.setattr(answering, "MIN_REVISION_SECONDS", 0.05)
    change = history.change("payer", grant())
    writer.hold.clear()
    asked = [asyncio.create_task(running.check("payer", min_revision=change.position.token)) for _ in range(20)]
    await until(lambda: writer.asked["entitlements"])
    await asyncio.sleep(0.2)
    writer.hold.set()
    answers = await asyncio.gather(*asked)
    assert all(answer["allowed"] and "behind" not in answer for answer in answers)
    assert {answer["revision"] for answer in answers} == {change.position.revision}
    assert writer.asked["entitlements"] == 1
    _, entitlements = await running.get("entitlements", user_id="payer", min_revision=change.position.token)
    assert len(entitlements["entitlements"]) == 1


async def test_min_revision_with_nobody_to_ask_is_answered_behind(
    running: Running, history: History, writer: WriterDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy's own answer, marked stale and behind, for check, batch and entitlements."""
    monkeypatch.setattr(answering, "MIN_REVISION_SECONDS", 0.05)
    writer.down = True
    token = history.change("ann").position.token
    answer = await running.check("ann", min_revision=token)
    assert (answer["allowed"], answer["stale"], answer["behind"]) == (True, True, True)
    body = orjson.dumps({"checks": [{"user_id": "ann", "feature": "pro"}], "min_revision": token})
    _, batch = await running.post("check", body)
    assert batch["answers"][0]["behind"]
    _, entitlements = await running.get("entitlements", user_id="ann", min_revision=token)
    assert entitlements["behind"]


async def test_a_miss_in_an_incomplete_copy_asks_the_writer_once_for_many(
    redis_url: str, history: History, writer: WriterDouble, start_sidecar: StartSidecar, running: Running
) -> None:
    """However many wait for the same user, one question is asked; a waiter that leaves takes nothing along."""
    copy = running.project.replica.copy
    assert copy is not None
    copy.compare(copy.position, 0, 0)
    history.change("new", grant())
    writer.hold.clear()
    waiting = [asyncio.create_task(running.check("new")) for _ in range(30)]
    await until(lambda: writer.asked["entitlements"])
    waiting.pop().cancel()
    await asyncio.sleep(0.1)
    writer.hold.set()
    answers = await asyncio.gather(*waiting)
    assert all(answer["allowed"] for answer in answers)
    assert writer.asked["entitlements"] == 1
    writer.down = True
    answer = await running.check("another")
    assert (answer["allowed"], answer["stale"]) == (False, True)


async def test_a_dead_writer_costs_one_question_not_every_request(running: Running, writer: WriterDouble) -> None:
    """After a failure the writer is left alone for a moment, and misses are answered at once."""
    copy = running.project.replica.copy
    assert copy is not None
    copy.compare(copy.position, 0, 0)
    writer.down = True
    began = time.monotonic()
    for number in range(20):
        assert (await running.check(f"user {number}"))["stale"]
    assert writer.asked["entitlements"] <= 2 + int(time.monotonic() - began)


async def test_the_management_port_tells_how_things_stand(running: Running, history: History) -> None:
    """Status and metrics name position, count, digest and mode."""
    await running.check("ann")
    _, text = await running.manage("status")
    status = orjson.loads(text)["projects"]["shop"]
    assert (status["epoch"], status["revision"], status["count"]) == (1, history.revision, 3)
    assert (status["complete"], status["stale"], status["state"], status["mode"]) == (True, False, "fresh", "redis")
    assert (status["head_lag"], status["loaded_from"], status["ahead"]) == (0, "redis", False)
    assert abs(status["clock_difference_ms"]) < 60_000
    _, text = await running.manage("metrics")
    assert 'sidecar_checks_total{outcome="granted"} 1.0' in text
    assert 'sidecar_copy_users{project="shop"} 3.0' in text
    assert 'sidecar_mode{mode="redis",project="shop"} 1.0' in text
    assert Metrics().registry is not Metrics().registry


async def test_shadow_mode_counts_and_changes_no_answer(running: Running) -> None:
    """What an app expected is compared by feature, one by one and in a batch, and told in the status and a metric."""
    plain = await running.check("ann", "pro")
    told = await running.check("ann", "pro", expected="true")
    assert {**told, "age_ms": 0} == {**plain, "age_ms": 0}
    await running.check("ann", "pro", expected="false")
    await running.check("ann", "misspelt", expected="false")
    checks = [{"user_id": "nobody", "feature": "pro", "expected": True}, {"user_id": "ann", "feature": "pro"}]
    async with running.session.post(
        f"http://{running.sidecar.address}/api/v1/check", json={"checks": checks}
    ) as response:
        assert response.status == 200
    management = f"http://{running.sidecar.management_address}"
    async with running.session.get(f"{management}/status") as response:
        shadow = orjson.loads(await response.read())["projects"]["shop"]["shadow"]
    assert shadow["pro"].pop("last_disagreement").items() >= {"user_id": "nobody", "expected": True}.items()
    assert shadow == {"pro": {"compared": 3, "disagreed": 2}, "(unknown)": {"compared": 1, "disagreed": 0}}
    async with running.session.get(f"{management}/metrics") as response:
        metrics = await response.text()
    assert 'sidecar_shadow_checks_total{agreed="false",feature="pro",project="shop"} 2.0' in metrics


@pytest.mark.parametrize("expected", ["yes", "", "1", "True"])
async def test_an_expectation_is_true_or_false(running: Running, expected: str) -> None:
    """Anything else is a bad request, and is not counted."""
    url = f"http://{running.sidecar.address}/api/v1/check"
    parameters = {"user_id": "ann", "feature": "pro", "expected": expected}
    async with running.session.get(url, params=parameters) as response:
        assert (response.status, (orjson.loads(await response.read()))["code"]) == (400, "invalid_expected")
    checks = [{"user_id": "ann", "feature": "pro", "expected": expected}]
    async with running.session.post(url, json={"checks": checks}) as response:
        assert (response.status, (orjson.loads(await response.read()))["code"]) == (400, "invalid_expected")
