"""Nobody can tell from outside which lane answered."""

from random import Random

import pytest

from sidecar import fast_lane
from tests.contract.lanes.compare import differences
from tests.contract.lanes.stage import Lane, SidecarState, quiet

STREAMS = 6_000
PARTS = 6
CHECK = b"GET /api/v1/check?user_id=ann&feature=pro&project_id=shop HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b'{"project_id":"shop","checks":[{"user_id":"ann","feature":"pro"}]}'
BATCH_HEAD = b"POST /api/v1/check HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY)
ENTITLEMENTS = b"GET /api/v1/entitlements?user_id=ann&project_id=shop HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("part", range(PARTS))
async def test_both_lanes_answer_alike(part: int) -> None:
    """Whatever is sent, cut anywhere, both lanes give the same bytes, close alike and count alike."""
    found = await differences(Random(part), STREAMS // PARTS)
    assert found.different == []
    assert found.fast > found.requests / 10, "the fast lane answered next to nothing"


async def test_both_lanes_answer_alike_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native part was not built, Python answers the same."""
    monkeypatch.setattr(fast_lane, "_native", None)
    found = await differences(Random(PARTS), STREAMS // PARTS)
    assert found.different == []
    assert found.fast > found.requests / 10, "the fast lane answered next to nothing"


@pytest.mark.parametrize(
    "between",
    [
        [ENTITLEMENTS],
        [BATCH_HEAD + BODY],
        [BATCH_HEAD, BODY],
        [BATCH_HEAD, BODY[:9], BODY[9:]],
        [CHECK[:30], CHECK[30:]],
    ],
)
async def test_a_connection_comes_back_to_the_fast_lane(between: list[bytes]) -> None:
    """What had to go the ordinary way does not keep there what comes behind it."""
    state = SidecarState()
    lane = Lane(state, fast=True)
    await lane.open()
    try:
        client = lane.connect()
        await quiet(client)
        for piece in (CHECK, *between, CHECK):
            client.send(piece)
            await quiet(client)
        assert lane.fast_answers == 2
        assert client.end()[0].count(b" 200 OK\r\n") == 3
    finally:
        await lane.close()
