"""Child processes: how they end, and that they do."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from sandbox.processes import ChildProcess, ProcessConfig
from tests.support.waiting import is_alive, until

ROOT = Path(__file__).resolve().parents[3]

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
WITH_CHILD = """
import subprocess, time
child = subprocess.Popen(["sleep", "600"])
print(child.pid, flush=True)
"""
OWNER = """
import asyncio
from sandbox.postgres import PostgresConfig, PostgresServer
from sandbox.redis import RedisServer

async def main():
    async with PostgresServer(PostgresConfig(durable=False)) as postgres, RedisServer() as redis:
        print(postgres.pid, redis.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def _python(code: str, tmp_path: Path, *, grace_s: float = 10.0) -> ChildProcess:
    argv = (sys.executable, "-c", code)
    return ChildProcess(ProcessConfig(name="child", argv=argv, log_path=tmp_path / "log", stop_grace_s=grace_s))


async def test_exit_status_and_output_are_kept(tmp_path: Path) -> None:
    """A process that ends by itself leaves its status and its last lines."""
    async with _python(
        "import sys; print('one', flush=True); print('two', file=sys.stderr); sys.exit(3)", tmp_path
    ) as child:
        assert await child.wait() == 3
        assert child.log_tail().splitlines() == ["one", "two"]
        assert child.log_tail(lines=1) == "two"


async def test_log_tail_begins_at_the_last_start(tmp_path: Path) -> None:
    """The log grows over starts; the tail shows the current one only."""
    async with _python("import os; print(os.getpid())", tmp_path) as child:
        first = child.pid
        await child.wait()
        child.start()
        await child.wait()
        assert child.log_tail() == str(child.pid)
        assert (tmp_path / "log").read_text(encoding="utf-8").split() == [str(first), str(child.pid)]


async def test_stop_lets_it_finish(tmp_path: Path) -> None:
    """SIGTERM comes first, so that a process may end in order."""
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print(1, flush=True)\n"
    async with _python(code + "time.sleep(600)", tmp_path) as child:
        await until(lambda: child.log_tail() == "1")
        assert await child.stop() == 5


async def test_stubborn_process_is_killed_after_the_grace(tmp_path: Path) -> None:
    """One that ignores SIGTERM ends all the same."""
    async with _python(STUBBORN, tmp_path, grace_s=0.2) as child:
        await until(lambda: child.log_tail() == "up")
        assert await child.stop() == -signal.SIGKILL


async def test_paused_process_can_be_stopped(tmp_path: Path) -> None:
    """A frozen process is woken to hear that it should end."""
    async with _python("import time; print(1, flush=True); time.sleep(600)", tmp_path) as child:
        await until(lambda: child.log_tail() == "1")
        child.pause()
        assert await child.stop() == -signal.SIGTERM


async def test_end_takes_its_own_children_along(tmp_path: Path) -> None:
    """When a process ends, what it left running in its group ends too."""
    async with _python(WITH_CHILD, tmp_path) as child:
        await child.wait()
        grandchild = int(child.log_tail())
        await until(lambda: not is_alive(grandchild))


async def test_missing_program_is_an_exit_status_and_a_line(tmp_path: Path) -> None:
    """A wrong path ends like in a shell."""
    async with ChildProcess(ProcessConfig(name="x", argv=("/nowhere/x",), log_path=tmp_path / "log")) as child:
        assert await child.wait() == 127
        assert "cannot run /nowhere/x" in child.log_tail()


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda death: death.name)
async def test_servers_die_with_their_parent(death: signal.Signals, tmp_path: Path) -> None:
    """However the owner of Postgres and Redis dies, both are gone soon after."""
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, stdout=-1, stderr=-3, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    try:
        assert owner.stdout is not None
        pids = [int(word) for word in (await owner.stdout.readline()).split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
    finally:
        owner.send_signal(death)
        await owner.wait()
    await until(lambda: not any(map(is_alive, pids)))
    if death is signal.SIGINT:
        assert not list(tmp_path.iterdir()), "an owner that could clean up left files behind"
