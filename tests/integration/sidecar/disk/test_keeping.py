"""What is kept on disk, when, and what is known of it afterwards."""

import os
import signal
from pathlib import Path
from random import Random

import pytest

from common.clock import SECOND, Instant
from sidecar.disk import Disk
from sidecar.freshness import StalePolicy, State
from sidecar.keeper import Keeper
from sidecar.metrics import Metrics
from sidecar.project import Project
from sidecar.replica import Copy, Proof
from sidecar.sources import Source
from tests.support.history import PROJECT, START, History, grant
from tests.support.publisher import Publisher
from tests.support.restarts import NOWHERE, process, sidecar
from tests.support.sidecars import until


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
    kept = {"SIDECAR_SNAPSHOT_DIR": str(folder), "SIDECAR_SNAPSHOT_EVERY": "100ms"}
    async with process(tmp_path / "first.log", redis_url, **kept) as first:
        await until((folder / "shop.copy").exists)
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: not first.running)
    async with process(tmp_path / "second.log", NOWHERE, **kept) as second:
        await until(lambda: "loaded project=shop source=disk" in second.log_tail())
        assert "complete=True" in second.log_tail()
        assert await second.stop() == 0
