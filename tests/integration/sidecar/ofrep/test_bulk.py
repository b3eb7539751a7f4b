"""All flags at once, for clients that keep them: what they are told, and when they need not be told again."""

from common.clock import SECOND, Instant, SystemClock
from sidecar.freshness import State
from tests.support.history import History, grant
from tests.support.ofrep import ANN, FEATURES, evaluate
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, in_step, until
from tests.support.waiting import eventually


async def test_all_flags_are_the_same_as_one_by_one(running: Running, history: History) -> None:
    """Every feature of the catalogue, and beside them what the copy stands at."""
    status, bulk, _ = await evaluate(running, None, ANN)
    assert status == 200
    assert [flag["key"] for flag in bulk["flags"]] == sorted(feature.code for feature in FEATURES)
    for flag in bulk["flags"]:
        _, alone, _ = await evaluate(running, flag["key"], ANN)
        assert alone["metadata"].items() >= flag["metadata"].items()
        assert {**alone, "metadata": {}} == {**flag, "metadata": {}}
    query = "user_id=ann&project_id=shop"
    assert bulk["eventStreams"] == [{"type": "sse", "endpoint": {"requestUri": f"/api/v1/stream?{query}"}}]
    assert bulk["metadata"].pop("age_ms") >= 0
    assert bulk["metadata"] == {"project_id": "shop", "epoch": 1, "revision": history.revision, "stale": True}


async def _tag(running: Running, user: str = "ann") -> str:
    status, _, headers = await evaluate(running, None, {"targetingKey": user})
    assert status == 200
    return headers["Etag"]


async def test_what_did_not_change_is_answered_304(
    running: Running, publisher: Publisher, history: History, heart: None
) -> None:
    """Age, revisions and other users change nothing; the user's own change does."""
    await until(lambda: running.project.freshness.state(SystemClock().monotonic()) is State.FRESH)
    tag = await _tag(running)
    for sent in (tag, f'"other", {tag}', f"W/{tag}"):
        status, body, headers = await evaluate(running, None, ANN, {"If-None-Match": sent})
        assert (status, body, headers["Etag"]) == (304, None, tag)
    history.change("eve", grant())
    await publisher.relay()
    await in_step(running, history)
    assert (await evaluate(running, None, ANN, {"If-None-Match": tag}))[0] == 304
    assert (await evaluate(running, None, {"targetingKey": "eve"}, {"If-None-Match": tag}))[0] == 200
    history.change("ann", grant())
    await publisher.relay()
    await in_step(running, history)
    status, _, headers = await evaluate(running, None, ANN, {"If-None-Match": tag})
    assert (status, headers["Etag"] != tag) == (200, True)
    tag = headers["Etag"]
    history.edit(*FEATURES[:2])
    await publisher.relay()
    await in_step(running, history)
    status, bulk, _ = await evaluate(running, None, ANN, {"If-None-Match": tag})
    assert (status, [flag["key"] for flag in bulk["flags"]]) == (200, ["free", "pro"])


async def test_a_copy_that_turns_fresh_changes_the_tag(running: Running, publisher: Publisher) -> None:
    """What a client keeps would otherwise say for ever that it is stale, or that it is not."""
    tag = await _tag(running)
    await publisher.heartbeat()
    await until(lambda: running.project.freshness.state(SystemClock().monotonic()) is State.FRESH)
    status, bulk, _ = await evaluate(running, None, ANN, {"If-None-Match": tag})
    assert (status, bulk["metadata"]["stale"]) == (200, False)


async def test_a_tag_belongs_to_its_user(running: Running) -> None:
    """Two who hold the same have streams of their own: a client that changes users must not keep the other's."""
    tag = await _tag(running, "stranger")
    assert tag == await _tag(running, "stranger")
    assert (await evaluate(running, None, {"targetingKey": "another"}, {"If-None-Match": tag}))[0] == 200


async def test_time_alone_changes_the_tag(running: Running, publisher: Publisher, history: History) -> None:
    """Where a grant ends, nothing is written, and the answer is another one."""
    end = Instant(SystemClock().now() + SECOND)
    history.change("eve", grant(valid_to=end))
    await publisher.relay()
    await in_step(running, history)
    tag = await _tag(running, "eve")

    async def changed() -> bool:
        return (await evaluate(running, None, {"targetingKey": "eve"}, {"If-None-Match": tag}))[0] == 200

    await eventually(changed)
    assert SystemClock().now() >= end
    _, flag, _ = await evaluate(running, "pro", {"targetingKey": "eve"})
    assert (flag["value"], flag["metadata"]["reason"]) == (False, "expired")


async def test_evaluations_are_counted(running: Running) -> None:
    """One flag counts as a check, by reason or error, stale or not; all flags have a counter of their own."""
    await evaluate(running, "pro", ANN)
    assert await running.metric("sidecar_stale_answers_total") == 1
    await evaluate(running, "nothing", ANN)
    await evaluate(running, "pro", {})
    await evaluate(running, None, {})
    tag = await _tag(running)
    await evaluate(running, None, ANN, {"If-None-Match": tag})
    _, text = await running.manage("metrics")
    for line in (
        'sidecar_checks_total{outcome="granted"} 1.0',
        'sidecar_checks_total{outcome="unknown_feature"} 1.0',
        'sidecar_checks_total{outcome="targeting_key_missing"} 1.0',
        'sidecar_ofrep_bulk_evaluations_total{outcome="answered"} 1.0',
        'sidecar_ofrep_bulk_evaluations_total{outcome="unchanged"} 1.0',
        'sidecar_ofrep_bulk_evaluations_total{outcome="targeting_key_missing"} 1.0',
    ):
        assert line in text
    assert "flag_not_found" not in text
