"""What stands in the documents' blocks is right: it parses, its commands exist, its statements run."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import asyncpg
import click
import pytest
import yaml
from click.testing import CliRunner
from redis.asyncio import Redis

from tests.contract.docs import blocks
from tests.contract.docs.blocks import Block, Line
from tests.contract.monitoring import rules
from tests.support.redis import StartRedis
from tests.support.tools import TOOLS
from writer.cli import main

BLOCKS: Final = blocks.every()
COMMANDS: Final = [line for block in BLOCKS for line in blocks.commands(block)]
NAMED: Final = re.compile(r"(?<![\w.-])((?:billing|sidecar)_[a-z0-9_]+)(?![\w-])")
FILES: Final = re.compile(r"\.(yaml|csv|dump|sql)$")


def _in(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def _by_place(block: Block) -> str:
    return block.place


def test_json_parses() -> None:
    """What calls itself JSON is JSON."""
    for block in _in("json"):
        json.loads(block.text)


@pytest.mark.parametrize("block", _in("yaml"), ids=_by_place)
def test_yaml_parses(block: Block) -> None:
    """What calls itself YAML is YAML."""
    assert list(yaml.safe_load_all(block.text))


@pytest.mark.parametrize("block", _in("python"), ids=_by_place)
def test_python_parses(block: Block) -> None:
    """What calls itself Python compiles, as in a prompt that may await."""
    compile(block.text, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)


@pytest.mark.needs("node")
def test_javascript_parses(tmp_path: Path) -> None:
    """What calls itself JavaScript is taken by Node.js as a module."""
    node = TOOLS["node"].find()
    assert node is not None
    for number, block in enumerate(_in("js")):
        file = tmp_path / f"block-{number}.mjs"
        file.write_text(block.text, encoding="utf-8")
        done = subprocess.run([node, "--check", file], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{block.place}: {done.stderr}"


async def test_sql_runs(database_url: str) -> None:
    """Statements run on a database of this release: those of blocks, and those that are given to psql."""
    connection = await asyncpg.connect(database_url)
    try:
        for place, statement in _statements():
            for one in filter(None, (part.strip() for part in statement.split(";"))):
                try:
                    await connection.execute(one)
                except asyncpg.InsufficientPrivilegeError:
                    assert one.startswith(("ALTER DATABASE", "SELECT system_identifier")), f"{place}: {one}"
                except asyncpg.InvalidCatalogNameError:
                    assert one.startswith("ALTER DATABASE"), f"{place}: {one}"
                except asyncpg.PostgresError as error:
                    pytest.fail(f"{place}: {error}: {one}")
    finally:
        await connection.close()


def _statements() -> Iterator[tuple[str, str]]:
    for block in _in("sql"):
        if block.mark != "cluster":
            yield block.place, block.text
    for line in COMMANDS:
        words = blocks.inside(line.words)
        if words[:1] == ("psql",) and "-c" in words:
            yield line.place, words[words.index("-c") + 1]


async def test_redis_takes_every_command(redis_server: StartRedis) -> None:
    """What is given to redis-cli is answered by a real Redis, where the writer's user had a password before."""
    redis = Redis.from_url((await redis_server()).url)
    try:
        await redis.execute_command("ACL", "SETUSER", "billing-writer", ">OLD")  # type: ignore[no-untyped-call]
        for line in COMMANDS:
            words = list(blocks.inside(line.words))
            if words[:1] != ["redis-cli"]:
                continue
            words = words[3:] if words[1:2] == ["-u"] else words[1:]
            if words and not words[0].startswith("-"):
                await redis.execute_command(*words, *(["key"] if words == ["DEL"] else []))  # type: ignore[no-untyped-call]
    finally:
        await redis.aclose()


def test_commands_parse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each command line with `billing` is taken: its subcommand, options and arguments exist."""
    for command in _commands(main):
        monkeypatch.setattr(command, "callback", lambda **_: None)
    monkeypatch.chdir(tmp_path)
    lines = [(line, blocks.inside(line.words)) for line in COMMANDS]
    lines = [(line, words[1:]) for line, words in lines if words[:1] == ("billing",)]
    assert len(lines) > 80
    faults = {line.place: told for line, words in lines if (told := _refused(words))}
    assert faults == {}


def _refused(words: tuple[str, ...]) -> str | None:
    for word in words:
        if FILES.search(word):
            Path(word).parent.mkdir(parents=True, exist_ok=True)
            Path(word).touch()
    done = CliRunner().invoke(main, list(words))
    return None if done.exit_code == 0 else done.output


def _commands(command: click.Command) -> Iterator[click.Command]:
    if isinstance(command, click.Group):
        for one in command.commands.values():
            yield from _commands(one)
    else:
        yield command


@pytest.mark.parametrize("path", blocks.PAGES, ids=lambda path: str(path.relative_to(blocks.ROOT)))
def test_commands_within_sentences_exist(path: Path) -> None:
    """A command that a sentence names exists, and so do its options."""
    for text in re.findall(r"`(billing(?: [^`\n]+)?)`", path.read_text(encoding="utf-8")):
        assert _unknown(text.split()[1:]) == [], text


def _unknown(words: list[str]) -> list[str]:
    command: click.Command = main
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        found = command.commands.get(word)
        if found is None:
            return [] if getattr(command, "callback", None) is not None or word.isupper() or "…" in word else [word]
        command = found
    if isinstance(command, click.Group) and command is not main:
        command = command.commands.get("give", command)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in words if word.startswith("--") and word.split("=")[0] not in {*known, "--help"}]


async def test_metrics_that_are_named_exist() -> None:
    """A metric named anywhere, or the beginning of one in a pattern for grep, is one of the code's."""
    known = [*await rules.known(), "billing_service", "billing_user", "billing_db", "billing_pass", "billing_writer"]
    guides = [blocks.DOCS / f"{name}.md" for name in ("operations", "scaling", "security", "integration")]
    for path in [*guides, *(blocks.DOCS / "runbooks").glob("*.md"), *(blocks.DOCS / "recipes").glob("*.md")]:
        for name in NAMED.findall(path.read_text(encoding="utf-8")):
            assert any(one.startswith(name.rstrip("_")) for one in known), f"{path.name}: {name}"


def test_lines_are_found() -> None:
    """The reader of blocks finds prompts, pipes, comments and containers."""
    text = "$ billing key list shop # all\n…\n$ docker compose exec -T app billing explain a b | head\n"
    block = Block(blocks.ROOT / "README.md", 1, "", "", text)
    found = [blocks.inside(line.words) for line in blocks.commands(block)]
    assert found == [("billing", "key", "list", "shop"), ("billing", "explain", "a", "b"), ("head",)]
    assert Line("README.md:2", ("billing", "key", "list", "shop")) in list(blocks.commands(block))
