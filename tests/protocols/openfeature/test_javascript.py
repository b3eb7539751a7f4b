"""OpenFeature's official JavaScript SDKs and providers, a server's and a browser's, against a sidecar."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest

from common.clock import SECOND, Instant, SystemClock
from common.document import MAX_LIMIT
from tests.protocols.openfeature.node_client import NodeClient
from tests.support import openfeature_packages
from tests.support.history import History, grant
from tests.support.ofrep import THEME, flags_history
from tests.support.publisher import Publisher
from tests.support.recipes import block
from tests.support.restarts import restarted
from tests.support.sidecars import Running, StartSidecar
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("openfeature-js")

ANN, EVE = {"targetingKey": "ann"}, {"targetingKey": "eve"}


@pytest.fixture
def history() -> History:
    """A project with every kind of feature."""
    return flags_history()


VALUES = [
    ("boolean", "pro", False, True, False),
    ("boolean", "free", False, True, True),
    ("number", "seats", 1, 5, 0),
    ("number", "storage", 1, MAX_LIMIT, 3),
    ("string", "region", "?", "us", "eu"),
    ("string", "support", "mail", "phone", "mail"),
    ("object", "theme", {}, THEME, {}),
]
MEMBERS = [
    ("number", "theme:rate", 1.5, 0.5, 1.5),
    ("string", "theme:colour", "blue", "green", "blue"),
]


async def test_typed_values_on_a_server(running: Running) -> None:
    """Every type comes as itself; who does not hold a configuration gets the app's own default."""
    async with NodeClient.running("server", running.sidecar.address, ANN) as client:
        assert await client.hear() == {"event": "ready"}
        for kind, key, fallback, ann, eve in VALUES + MEMBERS:
            details = await client.ask(kind, key, fallback)
            assert (details["value"], details.get("errorCode")) == (ann, None), key
            details = await client.ask(kind, key, fallback, **EVE)
            assert details["value"] == eve, key
        details = await client.ask("number", "storage", 0)
        assert (details["reason"], details["variant"]) == ("TARGETING_MATCH", "unlimited")
        assert (details["flagMetadata"]["unlimited"], details["flagMetadata"]["stale"]) == (True, True)


async def test_errors_on_a_server(running: Running) -> None:
    """The app's default, and the protocol's code."""
    async with NodeClient.running("server", running.sidecar.address, {}) as client:
        assert await client.hear() == {"event": "ready"}
        for key, context, code in (
            ("nothing", ANN, "FLAG_NOT_FOUND"),
            ("pro", {"email": "ann@example.com"}, "TARGETING_KEY_MISSING"),
            ("pro", {**ANN, "project_id": "other"}, "INVALID_CONTEXT"),
            ("seats", ANN, "TYPE_MISMATCH"),
        ):
            details = await client.ask("boolean", key, True, **context)
            assert (details["value"], details["errorCode"]) == (True, code)
            assert details["errorMessage"]


@pytest.mark.parametrize("mode", ["server", "polling"])
async def test_a_cold_sidecar(start_sidecar: StartSidecar, mode: str) -> None:
    """Nothing is known yet: an error that the client can read, and the app's default."""
    running = await start_sidecar("redis://127.0.0.1:1/0")
    async with NodeClient.running(mode, running.sidecar.address, ANN) as client:
        first = await client.hear()
        if mode == "polling":
            assert (first["event"], first["code"]) == ("error", "GENERAL")
            assert "status: 500" in first["message"]
            return
        details = await client.ask("boolean", "pro", True)
        assert (details["value"], details["errorCode"]) == (True, "GENERAL")
        assert "not loaded yet" in details["errorMessage"]


async def _check_all(client: NodeClient, user: dict[str, Any], *, held: bool) -> None:
    for kind, key, fallback, ann, eve in VALUES:
        details = await client.ask(kind, key, fallback)
        assert (details["value"], details.get("errorCode")) == (ann if held else eve, None), (user, key)


@pytest.mark.parametrize(("context", "held"), [(ANN, True), (EVE, False)])
async def test_typed_values_in_a_browser(running: Running, context: dict[str, str], held: bool) -> None:
    """All flags come at once, and are then answered from the client's own memory."""
    async with NodeClient.running("polling", running.sidecar.address, context) as client:
        assert await client.hear() == {"event": "ready"}
        await _check_all(client, context, held=held)


async def _outcomes(running: Running, outcome: str) -> int:
    _, text = await running.manage("metrics")
    name = f'sidecar_ofrep_bulk_evaluations_total{{outcome="{outcome}"}} '
    return sum(int(float(line.removeprefix(name))) for line in text.splitlines() if line.startswith(name))


async def _until_unchanged(running: Running, more: int) -> None:
    wanted = await _outcomes(running, "unchanged") + more

    async def enough() -> bool:
        return await _outcomes(running, "unchanged") >= wanted

    await eventually(enough)


async def test_a_browser_that_polls_hears_of_what_changed(
    running: Running, publisher: Publisher, history: History, heart: None
) -> None:
    """304 while nothing is new; then only the flags that are: by a change, and by time alone."""
    async with NodeClient.running("polling", running.sidecar.address, EVE) as client:
        assert await client.hear() == {"event": "ready"}
        await _until_unchanged(running, 3)
        before = await _outcomes(running, "answered")
        history.change("ann", grant("seats", 9))  # somebody else's
        await publisher.relay()
        await _until_unchanged(running, 3)
        assert await _outcomes(running, "answered") == before
        history.change("eve", grant(valid_to=Instant(SystemClock().now() + SECOND)), grant("seats", 2))
        await publisher.relay()
        assert await _changed(client) == ["pro", "seats"]
        assert (await client.ask("boolean", "pro", False))["value"] is True
        assert await _changed(client) == ["pro"]
        details = await client.ask("boolean", "pro", True)
        assert (details["value"], details["flagMetadata"]["reason"]) == (False, "expired")


async def _changed(client: NodeClient, *, interrupted: bool = False) -> list[str]:
    """The flags of the next change that concerns any; that the copy turned stale or fresh again concerns none.

    `interrupted`: the sidecar was away, which the client may tell any number of times.
    """
    while True:
        told = await client.hear()
        if interrupted and told["event"] == "stale":
            continue
        assert told["event"] == "changed", told
        if told["flags"]:
            return sorted(told["flags"])


async def test_a_browser_that_listens_hears_of_what_changed(
    running: Running, publisher: Publisher, history: History, heart: None
) -> None:
    """Without any polling: the stream that the answer names says when to ask again."""
    async with NodeClient.running("listening", running.sidecar.address, EVE) as client:
        assert await client.hear() == {"event": "ready"}
        await eventually(lambda: _listened(running))
        history.change("eve", grant())
        await publisher.relay()
        assert await _changed(client) == ["pro"]
        assert (await client.ask("boolean", "pro", False))["value"] is True


async def test_a_browser_that_listens_outlives_its_sidecar(
    redis_url: str, publisher: Publisher, history: History, heart: None, tmp_path: Path
) -> None:
    """What changed while the sidecar was killed is heard once there is another, again without any polling."""
    async with restarted(redis_url, tmp_path) as sidecar:
        await sidecar.is_ready()
        async with NodeClient.running("listening", sidecar.address, EVE) as client:
            assert await client.hear() == {"event": "ready"}
            await sidecar.has_a_listener()
            await sidecar.process.kill()
            history.change("eve", grant())
            await publisher.relay()
            sidecar.process.start()
            assert await _changed(client, interrupted=True) == ["pro"]
            assert (await client.ask("boolean", "pro", False))["value"] is True


async def test_the_recipe_runs_as_it_is_written(running: Running) -> None:
    """Its text, with only the address changed."""
    text = block("openfeature.md", "js").replace("http://127.0.0.1:7070", f"http://{running.sidecar.address}")
    folder = Path(str(openfeature_packages.found())).parent  # modules are looked for beside who imports them
    with tempfile.NamedTemporaryFile("w", suffix=".mjs", dir=folder) as file:
        file.write(text + 'console.log(await may("ann", "pro"), await may("eve", "pro"));\n')
        file.flush()
        process = await asyncio.create_subprocess_exec("node", file.name, stdout=asyncio.subprocess.PIPE)
        told, _ = await process.communicate()
    assert told.split() == [b"true", b"false"]


async def _listened(running: Running) -> bool:
    return await running.metric("sidecar_streams") > 0
