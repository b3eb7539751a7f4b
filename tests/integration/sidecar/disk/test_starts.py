"""A copy kept on disk answers at once, whatever else is away, and is brought up to date from where it stood."""

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from common.clock import SystemClock
from sidecar.disk import Disk
from sidecar.freshness import State
from sidecar.sources import Source
from tests.support.history import PROJECT, History, grant
from tests.support.publisher import Publisher
from tests.support.restarts import sidecar, status
from tests.support.sidecars import in_step, until
from tests.support.writer_double import WriterDouble


@pytest_asyncio.fixture
async def saved(redis_url: str, publisher: Publisher, history: History, tmp_path: Path) -> Path:
    """A folder in which a sidecar has left its copy."""
    async with sidecar(tmp_path / "copies", redis_url) as first:
        await until(lambda: first.project.replica.synced)
    return tmp_path / "copies"


async def test_from_disk_alone_everything_is_answered(saved: Path) -> None:
    """Redis and writer are away: hits and misses are answered from the file, told to be stale, and it is ready."""
    async with sidecar(saved) as again:
        await until(lambda: again.project.replica.synced)
        assert (await again.manage("ready"))[0] == 200
        answer = await again.check("bob", "seats", used="2")
        assert (answer["allowed"], answer["remaining"], answer["stale"]) == (True, 3, True)
        stranger = await again.check("stranger")
        assert (stranger["reason"], stranger["unlocked_by"]) == ("not_granted", ["price_pro"])
        told = await status(again)
        assert (told["loaded_from"], told["start"]["source"], told["complete"]) == ("disk", "disk", True)
        assert told["on_disk"]["position"] == again.project.position.token  # type: ignore[union-attr]
        assert await again.metric("sidecar_start_seconds") > 0


async def test_what_happened_meanwhile_comes_from_the_log(
    saved: Path, redis_url: str, publisher: Publisher, history: History
) -> None:
    """Nothing is loaded: the copy goes on from where it stood, and is fresh with the next heartbeat."""
    history.change("ann")
    history.change("new", grant())
    await publisher.relay()
    async with sidecar(saved, redis_url) as again:
        await in_step(again, history)
        await publisher.heartbeat()
        await until(lambda: again.project.freshness.state(SystemClock().monotonic()) is State.FRESH)
        assert again.project.source is Source.DISK
        assert not (await again.check("ann"))["allowed"]
        assert (await again.check("new"))["allowed"]
    async with sidecar(saved) as third:  # and what came was saved at the end
        await until(lambda: third.project.replica.synced)
        assert third.project.position == history.position


async def test_without_redis_it_is_brought_up_to_date_by_the_writer(
    saved: Path, history: History, writer: WriterDouble
) -> None:
    """The writer's changes follow on what was on disk."""
    history.change("new", grant())
    async with sidecar(saved, "", writer.url) as again:
        await in_step(again, history)
        assert again.project.source is Source.DISK
    assert writer.asked["snapshot"] == 0


async def test_a_gap_that_nobody_can_fill_is_loaded_over(
    saved: Path, redis_url: str, publisher: Publisher, history: History, heart: None
) -> None:
    """The log has forgotten what came after the file: a whole copy takes its place."""
    for number in range(5):
        history.change(f"late-{number}", grant())
    await publisher.relay()
    await publisher.trim(2)
    async with sidecar(saved, redis_url) as again:
        await in_step(again, history)
        assert again.project.source is Source.REDIS
        assert (await status(again))["start"]["source"] == "disk"


async def test_a_new_epoch_is_loaded_over_the_old_one(
    saved: Path, redis_url: str, publisher: Publisher, history: History, heart: None
) -> None:
    """The file is of a lineage that was given up."""
    history.raise_epoch()
    history.edit()
    history.change("ann", grant("seats", 2))
    await publisher.refill()
    async with sidecar(saved, redis_url) as again:
        await until(lambda: again.project.position == history.position)
        assert again.project.source is Source.REDIS


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda data: data[:-40], "torn"),
        (lambda data: data.replace(b"copy 2\n", b"copy 1\n", 1), "other_version"),
        (lambda data: b"PK\x03\x04 something else altogether, and long enough", "foreign"),
    ],
)
async def test_a_file_that_may_not_be_taken_is_told_and_harms_nothing(
    saved: Path, redis_url: str, spoil: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused with its reason, the start comes from Redis, and a good file takes its place."""
    path = saved / "shop.copy"
    path.write_bytes(spoil(path.read_bytes()))
    async with sidecar(saved, redis_url) as again:
        await until(lambda: again.project.replica.synced)
        assert again.project.source is Source.REDIS
        assert str(path) in (await status(again))["on_disk"]["refused"]
        assert await again.metric("sidecar_refused_copies_total") == 1
    assert f"kind={kind}" in caplog.text
    assert Disk(saved).read(PROJECT) is not None


async def test_another_projects_file_is_refused(saved: Path) -> None:
    """Somebody has renamed it."""
    (saved / "shop.copy").rename(saved / "notes.copy")
    async with sidecar(saved, SIDECAR_PROJECT="notes") as again:
        (notes,) = again.sidecar.projects.values()
        await until(lambda: notes.on_disk and notes.on_disk.refused)
        assert not notes.replica.synced
        told = await status(again, "notes")
        assert (told["synced"], "notes.copy" in told["on_disk"]["refused"], "epoch" in told) == (False, True, False)
    assert (saved / "notes.copy.refused").exists()


async def test_a_folder_that_cannot_be_used_costs_no_answer(
    redis_url: str, publisher: Publisher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, and everything else goes on."""
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / "file" / "copies"
    async with sidecar(folder, redis_url, SIDECAR_SNAPSHOT_EVERY="100ms") as one:
        await until(lambda: one.project.replica.synced and one.project.on_disk and one.project.on_disk.error)
        assert (await one.check("ann"))["allowed"]
        assert (await status(one))["on_disk"]["error"]
        assert await one.metric("sidecar_copy_saves_total") >= 1
    assert "cannot use SIDECAR_SNAPSHOT_DIR" in caplog.text


async def test_a_copy_that_grew_too_old_on_disk_follows_the_policy(saved: Path) -> None:
    """Its age goes on while nobody runs."""
    async with sidecar(saved, SIDECAR_STALE_AFTER="100ms", SIDECAR_MAX_STALE="100ms", SIDECAR_ON_STALE="deny") as again:
        await until(lambda: again.project.replica.synced)
        await until(lambda: again.project.freshness.state(SystemClock().monotonic()) is State.TOO_OLD)
        assert (await again.check("ann"))["reason"] == "stale_denied"
        assert (await status(again))["state"] == "too_old"
