"""The container's health check, against servers that listen in each way that ours can."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from common.listening import listening
from common.probe import main
from common.settings import Address, TcpAddress, UnixAddress

ROOT = Path(__file__).resolve().parents[3]


async def _ready(_: web.Request) -> web.Response:
    return web.json_response({"status": "ready"})


async def _not_ready(_: web.Request) -> web.Response:
    return web.json_response({"detail": "no schema yet"}, status=503)


def _app() -> web.Application:
    app = web.Application()
    app.router.add_get("/ready", _ready)
    app.router.add_get("/later", _not_ready)
    return app


@pytest.fixture(params=["tcp", "all interfaces", "socket"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Where a server listens, as its setting says it."""
    ways: dict[str, Address] = {
        "tcp": TcpAddress("127.0.0.1", 0),
        "all interfaces": TcpAddress("0.0.0.0", 0),
        "socket": UnixAddress(str(tmp_path / "s")),
    }
    async with listening(_app(), ways[request.param]) as address:
        yield address


async def test_it_tells_ready_from_not_ready(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 for 200; 1 for anything else, with what the server said; the variable wins over what the image says."""
    assert await asyncio.to_thread(main, [f"LISTEN={place}", "/ready"]) == 0
    monkeypatch.setenv("LISTEN", place)
    assert await asyncio.to_thread(main, ["LISTEN=127.0.0.1:1", "/later"]) == 1
    assert "no schema yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["LISTEN=127.0.0.1:1", "/ready"], "ConnectionRefusedError"),
        (["LISTEN=unix:/nowhere/s", "/ready"], "FileNotFoundError"),
        (["LISTEN=nonsense", "/ready"], "LISTEN must be host:port"),
        (["LISTEN=127.0.0.1:1"], "usage"),
    ],
)
def test_what_cannot_be_asked_is_told(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for the engine's health log, and no trace."""
    assert main(arguments) == 1
    assert told in capsys.readouterr().out


def test_it_is_a_program() -> None:
    """As the images call it."""
    done = subprocess.run(
        [sys.executable, "-m", "common.probe", "WRITER_LISTEN=127.0.0.1:1", "/live"],
        cwd=ROOT, env={name: value for name, value in os.environ.items() if name != "WRITER_LISTEN"},
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("/live: ConnectionRefusedError")
