"""`make up`: one stack at a time, settings to be sourced, lines to be copied, and nothing left when it ends."""

import asyncio
import json
import shlex
import signal
import stat
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from tests.support.commands import ROOT, Up, family, running_up, until_gone

NAMES = {
    *("WRITER_URL", "SIDECAR_URL", "SIDECAR_MANAGEMENT_URL", "STRIPE_API_BASE", "STRIPE_WEBHOOK_SECRET"),
    *("ADMIN_API_KEY", "PROJECT_ID", "PROJECT_API_KEY", "FEATURE", "PRICE_ID", "DATABASE_URL", "REDIS_URL"),
}


async def _curl(session: aiohttp.ClientSession, line: str) -> Any:
    """Do what curl would with the options that are printed."""
    words = shlex.split(line)
    assert words[:2] == ["curl", "-s"]
    url, rest = words[2], words[3:]
    options = list(zip(rest[::2], rest[1::2], strict=True))
    headers = dict(value.split(": ", 1) for name, value in options if name == "-H")
    data = next((value for name, value in options if name == "-d"), None)
    async with session.request("GET" if data is None else "POST", url, data=data, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def _check(session: aiohttp.ClientSession, settings: dict[str, str], user: str) -> dict[str, Any]:
    query = {"user_id": user, "feature": settings["FEATURE"]}
    async with session.get(f"{settings['SIDECAR_URL']}/api/v1/check", params=query) as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def _pays(session: aiohttp.ClientSession, home: str, user: str) -> None:
    """Through the toy app's button, Stripe's page and back, as a browser does."""
    form = {"user": user, "what": "subscription"}
    async with session.post(f"{home}pay", data=form, allow_redirects=False) as answer:
        assert answer.status == 303
        page = answer.headers["Location"]
    async with session.post(page, data={"act": "pay"}, allow_redirects=False) as answer:
        assert answer.status == 303
        back = answer.headers["Location"]
    assert urlsplit(back)._replace(query="").geturl() == f"{home}return"
    assert parse_qs(urlsplit(back).query)["user"] == [user]
    async with session.get(back, allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == f"/?user={user}"


def _home(up: Up) -> str:
    return next(line.split()[1] for line in up.text.splitlines() if line.startswith("Open "))


async def _states(session: aiohttp.ClientSession, home: str, user: str) -> Any:
    """The toy app's live feed."""
    async with session.get(f"{home}events", params={"user": user}) as answer:
        async for line in answer.content:
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))


@pytest.mark.timeout(120)
async def test_what_it_hands_out_works(tmp_path: Path) -> None:
    """Its settings can be sourced, its curl lines answer, a second one is refused, and Ctrl-C leaves nothing."""
    async with running_up(tmp_path / "up") as up, aiohttp.ClientSession() as session:
        settings = up.settings
        assert set(settings) >= NAMES
        assert stat.S_IMODE((up.directory / "env").stat().st_mode) == 0o600
        for url in (f"{settings['WRITER_URL']}/ready", f"{settings['SIDECAR_MANAGEMENT_URL']}/ready"):
            async with session.get(url) as answer:
                assert answer.status == 200

        check, checkout, status = [line for line in up.text.splitlines() if line.startswith("curl ")]
        assert (await _curl(session, check))["allowed"] is False
        assert (await _curl(session, checkout))["session_id"].startswith("cs_")
        assert (await _curl(session, status))["projects"]["notes"]["complete"] is True

        command = (sys.executable, "-m", "sandbox.up", "--directory", str(up.directory))
        second = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        _, said = await second.communicate()
        assert second.returncode == 1
        assert f"already running (pid {up.process.pid})" in said.decode()
        assert (up.directory / "env").exists()

        everybody = family(up.process.pid)
        assert len(everybody) > 6
        assert await up.end(signal.SIGINT) == 0
        await until_gone(everybody)
        assert not (up.directory / "env").exists()


@pytest.mark.timeout(120)
async def test_its_data_survives_and_a_killed_one_leaves_no_process(tmp_path: Path) -> None:
    """What was paid in one run holds in the next, also when the first was killed; SIGKILL leaves no process."""
    async with running_up(tmp_path / "up") as up, aiohttp.ClientSession() as session:
        await _pays(session, _home(up), "ada")
        assert (await _check(session, up.settings, "ada"))["allowed"] is True
        first = _home(up)
        everybody = family(up.process.pid)
        assert await up.end(signal.SIGKILL) == -signal.SIGKILL
        await until_gone(everybody)

        await up.come_up()
        assert _home(up) == first
        assert (await _check(session, up.settings, "ada"))["allowed"] is True
        assert (await _check(session, up.settings, "bob"))["allowed"] is False


@pytest.mark.timeout(120)
async def test_the_toy_app_unlocks_what_is_paid(tmp_path: Path) -> None:
    """Locked, paid, unlocked and timed in the live feed; answers go on while the writer is dead; cancelled, locked."""
    async with running_up(tmp_path / "up") as up, aiohttp.ClientSession() as session:
        home = _home(up)
        async with session.get(home, params={"user": "<b>"}) as answer:
            page = await answer.text()
            assert answer.status == 200
            assert "<b>" not in page
        foreign = {"Origin": "http://elsewhere.example"}
        async with session.post(f"{home}cancel", data={"user": "ada"}, headers=foreign) as answer:
            assert answer.status == 403

        states = _states(session, home, "ada")
        first = await anext(states)
        assert [row["answer"]["allowed"] for row in first["answers"]] == [False, False, False]
        assert first["parts"] == {"redis": True, "writer": True}
        await _pays(session, home, "ada")
        paid = await _until(states, lambda state: state["change"] is not None)
        assert paid["answers"][0]["answer"]["allowed"] is True
        assert paid["change"]["milliseconds"] > 0
        assert [row["answer"]["allowed"] for row in paid["answers"][1:]] == [False, False]

        for name in ("redis", "writer"):
            await session.post(f"{home}parts/{name}/kill", data={"user": "ada"}, allow_redirects=False)
        down = await _until(states, lambda state: state["parts"] == {"redis": False, "writer": False})
        assert down["answers"][0]["answer"]["allowed"] is True
        for name in ("redis", "writer"):
            await session.post(f"{home}parts/{name}/start", data={"user": "ada"}, allow_redirects=False)
        await _until(states, lambda state: state["parts"] == {"redis": True, "writer": True})

        await session.post(f"{home}cancel", data={"user": "ada"}, allow_redirects=False)
        await _until(states, lambda state: not state["answers"][0]["answer"]["allowed"])
        await states.aclose()


async def _until(states: Any, holds: Any) -> Any:
    async for state in states:
        if holds(state):
            return state
    raise AssertionError("the feed ended")
