"""Containers as the charts render them, started as processes on real servers: command, environment, probes, end."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession

from sandbox.ports import free_port
from sandbox.processes import ChildProcess, ProcessConfig
from sidecar.client import AsyncEntitlementsClient
from tests.contract.charts import scenarios
from tests.contract.charts.environment import environment
from tests.contract.charts.rendering import Charts, Manifest, Rendering, containers, over
from tests.support.publisher import Publisher
from tests.support.waiting import eventually

ROOT: Final = Path(__file__).resolve().parents[3]
_PROGRAMS: Final = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))


def _container(rendering: Rendering, name: str) -> Manifest:
    [found] = [each for _, pod in rendering.pods() for each in containers(pod) if each["name"] == name]
    return found


def _command(rendering: Rendering, name: str) -> list[str]:
    command: list[str] = _container(rendering, name)["command"]
    return command


def _grace(rendering: Rendering, name: str) -> float:
    [pod] = [pod for _, pod in rendering.pods() if name in {each["name"] for each in containers(pod)}]
    seconds: float = pod["spec"].get("terminationGracePeriodSeconds", 30)
    stop = _container(rendering, name).get("lifecycle", {}).get("preStop", {}).get("sleep", {"seconds": 0})
    return seconds - float(stop["seconds"])


def _process(rendering: Rendering, name: str, folder: Path, real: Mapping[str, str]) -> ChildProcess:
    """The container's command with its environment and nothing of ours, on loopback, Secrets as they are here."""
    told = environment(rendering, _container(rendering, name))
    told |= {variable: text for variable, text in real.items() if variable in told}
    told = {variable: text.replace("0.0.0.0", "127.0.0.1") for variable, text in told.items()}
    # The Service's name leads to this machine.
    program, *arguments = (each.replace("//prod-billing-writer:", "//127.0.0.1:") for each in _command(rendering, name))
    argv = (str(Path(sys.executable).parent / program), *arguments)
    env = {"PATH": _PROGRAMS, "PYTHONPATH": str(ROOT), **told}
    log, grace = folder / f"{name}.log", _grace(rendering, name)
    return ChildProcess(ProcessConfig(name=name, argv=argv, log_path=log, env=env, cwd=folder, stop_grace_s=grace))


async def _asked(session: ClientSession, container: Manifest, probe: str) -> int | None:
    """What a probe is answered; None: nobody listens."""
    wanted: dict[str, Any] = container[f"{probe}Probe"]["httpGet"]
    [port] = [each["containerPort"] for each in container["ports"] if each["name"] == wanted["port"]]
    try:
        async with session.get(f"http://127.0.0.1:{port}{wanted['path']}") as response:
            return response.status
    except ClientError:
        return None


async def test_a_writer_migrates_starts_and_ends(
    charts: Charts, empty_database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """It lives without a schema and is not ready; the migration's Job makes it ready; it ends within its grace."""
    values = over(scenarios.of("billing-writer", "minimal").values, {"port": free_port()})
    rendering = charts.render("billing-writer", values)
    real = {"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url}
    container = _container(rendering, "writer")
    async with ClientSession() as session, _process(rendering, "writer", tmp_path, real) as writer:

        async def answered(probe: str, status: int) -> bool:
            assert writer.running, writer.log_tail()
            return await _asked(session, container, probe) == status

        await eventually(lambda: answered("startup", 200))
        assert await answered("readiness", 503)
        assert await answered("liveness", 200)
        async with _process(rendering, "migrate", tmp_path, real) as migration:
            assert await migration.wait() == 0, migration.log_tail()
            assert "the schema is what this release needs" in migration.log_tail()
        await eventually(lambda: answered("readiness", 200))
        assert await writer.stop() == 0


async def test_helms_test_tells_whether_a_writer_is_ready(
    charts: Charts, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Its command ends with 0 and the answer where one is, and fails where nobody is there."""
    port = free_port()
    values = over(scenarios.of("billing-writer", "minimal").values, {"port": port, "service": {"port": port}})
    rendering = charts.render("billing-writer", values)
    real = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    async with _process(rendering, "ready", tmp_path / "nobody", {}) as test:
        assert await test.wait() == 1
    async with ClientSession() as session, _process(rendering, "writer", tmp_path, real):

        async def ready() -> bool:
            return await _asked(session, _container(rendering, "writer"), "readiness") == 200

        await eventually(ready)
        async with _process(rendering, "ready", tmp_path, {}) as test:
            assert await test.wait() == 0, test.log_tail()
            assert '{"status":"ready"}' in test.log_tail()


async def test_an_app_asks_its_sidecar(
    charts: Charts, redis_url: str, publisher: Publisher, heart: None, tmp_path: Path
) -> None:
    """At the address that the chart tells the app, over a socket that both have; a copy stays on disk."""
    sidecar = {
        "projects": [{"id": "shop"}],
        "managementPort": free_port(),
        "unixSocket": {"enabled": True, "directory": str(tmp_path)},
        "copies": {"directory": str(tmp_path / "copies")},
    }
    least = scenarios.of("example-app", "unix-socket").values
    rendering = charts.render("example-app", over(least, {"billing-sidecar": sidecar}))
    container = _container(rendering, "billing-sidecar")
    address = environment(rendering, _container(rendering, "app"))["SIDECAR_URL"]
    async with (
        ClientSession() as session,
        _process(rendering, "billing-sidecar", tmp_path, {"REDIS_URL": redis_url}) as process,
    ):

        async def ready() -> bool:
            assert process.running, process.log_tail()
            return await _asked(session, container, "readiness") == 200

        await eventually(ready)
        assert [await _asked(session, container, probe) for probe in ("startup", "liveness")] == [200, 200]
        async with AsyncEntitlementsClient(address) as client:
            assert (await client.check("ann", "pro")).allowed
        assert await process.stop() == 0
    assert (tmp_path / "copies" / "shop.copy").exists()
