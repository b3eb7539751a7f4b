"""A copy kept on disk answers at once, whatever else is away, and is brought up to date from where it stood."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from common.clock import SECOND, Instant, SystemClock
from sandbox.processes import ChildProcess, ProcessConfig
from sidecar.app import running
from sidecar.disk import Disk
from sidecar.freshness import StalePolicy, State
from sidecar.keeper import Keeper
from sidecar.metrics import Metrics
from sidecar.project import Project
from sidecar.replica import Copy, Proof
from sidecar.settings import Settings
from sidecar.sources import Source
from tests.support.history import PROJECT, START, History, grant
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, in_step, until
from tests.support.writer_double import KEY, WriterDouble

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = "redis://127.0.0.1:1/0"


@asynccontextmanager
async def sidecar(folder: Path, redis_url: str = NOWHERE, writer_url: str = "", **more: str) -> AsyncIterator[Running]:
    """One that ends with the block, as a restart needs."""
    environment = {
        "SIDECAR_PROJECT": PROJECT,
        "SIDECAR_API_KEY": KEY,
        "REDIS_URL": redis_url,
        "WRITER_URL": writer_url,
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0",
        "SIDECAR_SNAPSHOT_DIR": str(folder),
        **more,
    }
    async with ClientSession() as session, running(Settings.from_mapping(environment)) as one:
        yield Running(one, session)


async def status(running: Running) -> Any:
    """What the management port tells of the project."""
    return json.loads((await running.manage("status"))[1])["projects"][PROJECT]


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
        (lambda data: data.replace(b"copy 1\n", b"copy 7\n", 1), "future_version"),
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


async def test_a_copy_that_moves_is_saved_while_it_runs(
    redis_url: str, publisher: Publisher, history: History, tmp_path: Path
) -> None:
    """A process that is killed loses a period's changes at most, and no answer."""
    async with sidecar(tmp_path, redis_url, SIDECAR_SNAPSHOT_EVERY="100ms") as one:
        await until((tmp_path / "shop.copy").exists)
        history.change("new", grant())
        await publisher.relay()
        await until(lambda: one.project.on_disk and one.project.on_disk.position == history.position)
        found = Disk(tmp_path).read(PROJECT)
        assert found is not None
        assert (found.head.position, found.head.digest) == (history.position, history.digest)


async def test_a_copy_that_grew_too_old_on_disk_follows_the_policy(saved: Path) -> None:
    """Its age goes on while nobody runs."""
    async with sidecar(saved, SIDECAR_STALE_AFTER="100ms", SIDECAR_MAX_STALE="100ms", SIDECAR_ON_STALE="deny") as again:
        await until(lambda: again.project.replica.synced)
        await until(lambda: again.project.freshness.state(SystemClock().monotonic()) is State.TOO_OLD)
        assert (await again.check("ann"))["reason"] == "stale_denied"


class Watch:
    """A clock that is set by hand."""

    def __init__(self, now: int) -> None:
        self.wall = now

    def now(self) -> Instant:
        """What it was set to."""
        return Instant(self.wall)

    def monotonic(self) -> float:
        """Seconds since this machine was started: another one each time."""
        return 1000.0


def keeper(folder: Path, watch: Watch) -> tuple[Project, Keeper]:
    """A project and what keeps it on disk."""
    project = Project(PROJECT, StalePolicy())
    return project, Keeper(project, Disk(folder), Metrics(), watch, Random(1), 60.0)


def held(history: History, proof: Proof) -> Copy:
    """A copy of a history."""
    copy = Copy(PROJECT, history.catalogue, history.position)
    for document in history.documents.values():
        copy.hold(document)
    copy.proof = proof
    return copy


@pytest.mark.parametrize(("passed", "age"), [(90.0, 97.0), (0.0, 7.0), (-3600.0, 7.0)])
async def test_the_age_at_a_start_is_never_negative(
    history: History, tmp_path: Path, passed: float, age: float
) -> None:
    """It is what it was when the copy was saved, and what passed since by the wall clock, even if that was set back."""
    watch = Watch(START)
    project, first = keeper(tmp_path, watch)
    project.install(held(history, Proof.MATCHED), Source.REDIS, 993.0, 1000.0)
    await first.last_save()
    watch.wall += int(passed * SECOND)
    project, second = keeper(tmp_path, watch)
    loaded = await second.restore()
    assert loaded is not None
    project.install(loaded.copy, loaded.source, loaded.current_at, 1000.0, loaded.age)
    assert project.freshness.age(1000.0) == pytest.approx(age)
    assert project.freshness.state(1000.0) is State.STALE  # until somebody confirms it


@pytest.mark.parametrize(("proof", "complete"), [(Proof.MATCHED, True), (Proof.NONE, False)])
async def test_a_proof_is_kept_with_what_it_is_of(
    history: History, tmp_path: Path, proof: Proof, complete: bool
) -> None:
    """A copy whose digest had not matched is not complete after a restart either."""
    project, first = keeper(tmp_path, Watch(START))
    project.install(held(history, proof), Source.REDIS, None, 1000.0)
    await first.last_save()
    loaded = await keeper(tmp_path, Watch(START))[1].restore()
    assert loaded is not None
    assert loaded.copy.complete is complete


async def test_a_copy_that_is_known_to_be_wrong_is_not_saved(history: History, tmp_path: Path) -> None:
    """What stands on disk is better."""
    project, first = keeper(tmp_path, Watch(START))
    project.install(held(history, Proof.MATCHED), Source.REDIS, None, 1000.0)
    await first.last_save()
    history.change("new", grant())
    wrong = held(history, Proof.NONE)
    project.replica.copy = wrong
    wrong.proof = Proof.DIFFERED
    await first.last_save()
    loaded = await keeper(tmp_path, Watch(START))[1].restore()
    assert loaded is not None
    assert loaded.copy.position < history.position


async def test_a_process_that_is_killed_answers_from_disk_again(
    redis_url: str, publisher: Publisher, tmp_path: Path
) -> None:
    """SIGKILL, and Redis gone: the next process has what the first one saved."""
    folder = tmp_path / "copies"
    async with process(tmp_path, redis_url, folder) as first:
        await until((folder / "shop.copy").exists)
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: not first.running)
    async with process(tmp_path, NOWHERE, folder) as second:
        await until(lambda: "loaded project=shop source=disk" in second.log_tail())
        assert "complete=True" in second.log_tail()
        assert await second.stop() == 0


def process(tmp_path: Path, redis_url: str, folder: Path) -> ChildProcess:
    """A sidecar of its own."""
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "SIDECAR_PROJECT": PROJECT,
        "REDIS_URL": redis_url,
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0",
        "SIDECAR_SNAPSHOT_DIR": str(folder),
        "SIDECAR_SNAPSHOT_EVERY": "100ms",
    }
    log = tmp_path / f"{len(redis_url)}.log"
    argv = (sys.executable, "-m", "sidecar")
    return ChildProcess(ProcessConfig(name="sidecar", argv=argv, log_path=log, env=env, cwd=ROOT))


async def test_clocks_that_differ_are_told(
    redis_url: str, publisher: Publisher, history: History, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once in the log, in the status and as a metric; the answers go on."""
    async with sidecar(tmp_path, redis_url) as one:
        await until(lambda: one.project.replica.synced)
        for _ in range(8):
            await publisher.heartbeat(history.heartbeat(Instant(SystemClock().now() - 10 * SECOND)))
        await until(lambda: one.project.freshness.clocks_differ)
        assert (await status(one))["clocks_differ"]
        assert await one.metric("sidecar_clock_difference_seconds") >= 10
        assert (await one.check("ann"))["allowed"]
    assert caplog.text.count("verdict=differ") == 1
