"""The sidecar as a process of its own."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector

from common.redis_url import SCHEMES
from sandbox.processes import ChildProcess, ProcessConfig
from tests.support.publisher import Publisher
from tests.support.sidecars import until

ROOT = Path(__file__).resolve().parents[3]
LISTENING = re.compile(r"sidecar listening address=(\S+) management=(\S+)")


def process(tmp_path: Path, **environment: str) -> ChildProcess:
    """A sidecar with these settings."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SIDECAR_PROJECT": "shop", "LOG_FORMAT": "text"}
    env |= environment
    argv = (sys.executable, "-m", "sidecar")
    return ChildProcess(ProcessConfig(name="sidecar", argv=argv, log_path=tmp_path / "sidecar.log", env=env, cwd=ROOT))


async def test_a_process_answers_and_ends_when_it_is_told_to(
    redis_url: str, publisher: Publisher, tmp_path: Path
) -> None:
    """It tells its addresses, answers on a unix socket, and SIGTERM ends it with status 0."""
    listen = f"unix:{tmp_path}/sidecar.sock"
    settings = {"REDIS_URL": redis_url, "SIDECAR_LISTEN": listen, "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0"}
    async with process(tmp_path, **settings) as child:
        await until(lambda: LISTENING.search(child.log_tail()) and "loaded project=shop" in child.log_tail())
        found = LISTENING.search(child.log_tail())
        assert found is not None
        assert found[1] == listen
        async with ClientSession() as session, session.get(f"http://{found[2]}/ready") as response:
            assert response.status == 200
        assert stat.S_IMODE((tmp_path / "sidecar.sock").stat().st_mode) == 0o666, "an app has a user of its own"
        connector = UnixConnector(f"{tmp_path}/sidecar.sock")
        async with (
            ClientSession(connector=connector) as session,
            session.get("http://sidecar/api/v1/check?user_id=ann&feature=pro") as response,
        ):
            assert (await response.json())["allowed"]
        assert await child.stop() == 0
        assert "sidecar ending" in child.log_tail()


def test_bad_settings_end_it_with_status_two_and_all_faults(tmp_path: Path) -> None:
    """Every fault is on stderr, and no secret."""
    env = {
        "PATH": os.environ["PATH"],
        "SIDECAR_API_KEY": "hidden-key,other-key",
        "REDIS_URL": "http://:hidden-password@cache",
        "SIDECAR_ON_STALE": "maybe",
    }
    done = subprocess.run(
        [sys.executable, "-m", "sidecar"], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "SIDECAR_PROJECT is not set",
        "REDIS_URL must be a URL such as redis://host…; schemes: " + " ".join(SCHEMES),
        "SIDECAR_ON_STALE must be one of serve deny allow",
    ]
    assert "hidden" not in done.stdout + done.stderr


async def test_a_taken_port_ends_it_with_status_one(redis_url: str, tmp_path: Path) -> None:
    """It says so in a line, without a trace."""
    free = {"REDIS_URL": redis_url, "SIDECAR_LISTEN": "127.0.0.1:0", "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0"}
    async with process(tmp_path / "first", **free) as first:
        await until(lambda: LISTENING.search(first.log_tail()))
        found = LISTENING.search(first.log_tail())
        assert found is not None
        async with process(tmp_path / "second", **{**free, "SIDECAR_LISTEN": found[1]}) as second:
            await until(lambda: not second.running)
            assert second.returncode == 1
            assert "cannot start" in second.log_tail()
            assert "Traceback" not in second.log_tail()


@pytest.mark.parametrize("url", ["redis://:hidden-password@127.0.0.1:1/0", "redis://user:hidden-password@127.0.0.1:1"])
async def test_no_password_is_logged(url: str, tmp_path: Path) -> None:
    """A Redis that cannot be reached is told without its password."""
    settings = {"REDIS_URL": url, "SIDECAR_LISTEN": "127.0.0.1:0", "SIDECAR_MANAGEMENT_LISTEN": "127.0.0.1:0"}
    async with process(tmp_path, LOG_LEVEL="DEBUG", **settings) as child:
        await until(lambda: "cannot mend" in child.log_tail())
        assert "hidden" not in child.log_tail(200)
