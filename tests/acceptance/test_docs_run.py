"""What docs/integration.md tells app teams to write works against the real stack, as it stands there."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import asyncpg
import pytest

from sandbox.stack import RunningApp, Stack, StackConfig
from tests.contract.docs import blocks
from tests.support.tools import TOOLS

PAGE: Final = blocks.DOCS / "integration.md"
SIDECAR: Final = "http://127.0.0.1:7070"
APP: Final = "http://localhost:3000"
_SECONDS: Final = 50

Ask = Callable[..., Any]

_NODE: Final = """
import * as app from "./app.mjs";
const [name, ...rest] = process.argv.slice(2);
console.log(JSON.stringify(await app[name](...rest)));
"""

_GO: Final = """package main

import (
	"context"
	"encoding/json"
	"os"
)

func main() {
	ctx, words := context.Background(), os.Args[2:]
	var told any
	var err error
	switch os.Args[1] {
	case "may":
		told = May(ctx, words[0], words[1], append(words, "")[2])
	case "buy":
		told, err = Buy(ctx, words[0], words[1], words[2])
	case "paid":
		told, err = Paid(ctx, words[0], words[1])
	case "manage":
		told, err = Manage(ctx, words[0], words[1])
	}
	if err != nil {
		panic(err)
	}
	json.NewEncoder(os.Stdout).Encode(told)
}
"""


class LeastRights(Stack):
    """The stack, its writer working as the role that docs/security.md tells to make."""

    async def _migrated(self) -> None:
        await super()._migrated()
        config = self.postgres.config
        (roles, _) = [block.text for block in blocks.of(blocks.DOCS / "security.md") if block.mark == "cluster"]
        connection = await asyncpg.connect(self.postgres.superuser_url)
        try:
            await connection.execute(roles.replace("'PASSWORD'", f"'{config.password}'"))
        finally:
            await connection.close()
        self.postgres.config = replace(config, user="billing_writer")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """The whole local stack."""
    async with LeastRights(StackConfig(tmp_path / "logs")) as running:
        yield running


def _written(language: str, app: RunningApp) -> str:
    (block,) = [one for one in blocks.of(PAGE) if one.language == language and one.mark == "run"]
    return block.text.replace(SIDECAR, app.sidecar.answers.url)


def _environment(app: RunningApp) -> dict[str, str]:
    return {"WRITER_URL": app.writer.api.url, "BILLING_API_KEY": app.key}


async def _play(stack: Stack, app: RunningApp, user: str, ask: Ask) -> None:
    """Denied, bought, confirmed, allowed; bought again and sent to the portal."""
    price = app.prices.subscription
    assert await ask("may", user, "export") is False
    url = await ask("buy", user, price, APP)
    assert url.startswith(stack.stripe_url)
    async with stack.session.post(url, data={"act": "pay"}, allow_redirects=False) as answer:
        back = answer.headers["Location"]
    assert back.startswith(f"{APP}/paid?session_id=")
    token = await ask("paid", back.partition("session_id=")[2], user)
    assert await ask("may", user, "export", token) is True
    assert await ask("may", user, "export", "no token") is False, "it was not passed on"
    assert "/p/session/" in await ask("manage", user, APP)
    assert "/p/session/" in await ask("buy", user, price, APP)


@pytest.mark.timeout(120)
async def test_python_and_javascript_run(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user of each buys, is let in with the token, and is led to the portal; JavaScript where Node.js is there.

    The writer works as the database role with least rights.
    """
    app = stack.apps["notes"]
    for name, value in _environment(app).items():
        monkeypatch.setenv(name, value)
    module = ModuleType("documented")
    exec(compile(_written("python", app), str(PAGE), "exec"), module.__dict__)

    async def python(name: str, *arguments: str) -> Any:
        return await asyncio.to_thread(getattr(module, name), *arguments)

    assert "//billing_writer:" in stack.postgres.url
    try:
        await _play(stack, app, "of-python", python)
    finally:
        module.sidecar.close()
        module.writer.close()

    node = TOOLS["node"].find()
    if node is None:
        return  # tests/contract/docs names it at the run's end
    (tmp_path / "app.mjs").write_text(_written("js", app), encoding="utf-8")
    (tmp_path / "main.mjs").write_text(_NODE, encoding="utf-8")
    await _play(stack, app, "of-javascript", _program([node, str(tmp_path / "main.mjs")], app))


@pytest.mark.timeout(180)
@pytest.mark.needs("go")
async def test_go_runs(stack: Stack, tmp_path: Path) -> None:
    """The same in Go, compiled with the standard library alone."""
    app = stack.apps["notes"]
    go = TOOLS["go"].find()
    assert go is not None
    (tmp_path / "app.go").write_text(_written("go", app), encoding="utf-8")
    (tmp_path / "main.go").write_text(_GO, encoding="utf-8")
    formatter = shutil.which("gofmt")
    assert formatter is not None
    assert await asyncio.to_thread(_output, [formatter, "-l", str(tmp_path / "app.go")], {}) == ""
    built = [go, "build", "-o", str(tmp_path / "app"), str(tmp_path / "app.go"), str(tmp_path / "main.go")]
    cache = {"GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off", "CGO_ENABLED": "0"}
    await asyncio.to_thread(_output, built, cache)
    await _play(stack, app, "of-go", _program([str(tmp_path / "app")], app))


def _program(command: list[str], app: RunningApp) -> Ask:
    async def ask(name: str, *arguments: str) -> Any:
        return json.loads(await asyncio.to_thread(_output, [*command, name, *arguments], _environment(app)))

    return ask


def _output(command: list[str], more: dict[str, str]) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **more}
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
