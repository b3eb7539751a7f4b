"""tests/guide/commands.yaml: its form, the services that it names, and, where it is at hand, the guide itself."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.contract.deploy.compose import ROOT
from tests.docker_smoke.commands import FILE, FormError, load

FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def test_the_file_has_its_form() -> None:
    """Ids once each, a reason for whatever is run otherwise, patterns that can be looked for."""
    commands = load()
    assert len(commands) > 30
    for command in commands:
        for pattern in (command.output, command.absent):
            if pattern is not None:
                re.compile(pattern, re.MULTILINE)
        assert command.within <= 900
        assert command.runs != command.guide or command.why is None


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"id": "a", "guide": "x", "runs": "y"}, "unknown: runs"),
        ({"id": "a", "guide": "x", "run": "y"}, "go together"),
        ({"id": "a", "guide": "x", "expect": {"exit": 0}}, "unknown: exit"),
        ({"id": "A b", "guide": "x"}, "small letters"),
    ],
)
def test_a_wrong_entry_is_told(entry: dict[str, object], told: str, tmp_path: Path) -> None:
    """A member that nobody reads, or a reason that is missing, does not go unseen."""
    path = tmp_path / "commands.yaml"
    path.write_text(yaml.safe_dump({"commands": [entry]}), encoding="utf-8")
    with pytest.raises(FormError, match=told):
        load(path)


def test_a_command_that_ended_otherwise_is_told() -> None:
    """Status, output and what must not be printed each count."""
    command = next(command for command in load() if command.id == "logs-follow-first")
    assert command.fault(124, "writer listening") is None
    assert command.fault(0, "writer listening") == "ended with status 0, not 124"
    assert "nothing like" in str(command.fault(124, "something else"))
    assert "background task crashed" in str(command.fault(124, "writer listening\nbackground task crashed"))


def test_every_service_that_is_named_is_there() -> None:
    """`exec`, `logs`, `ps` and the like name services of docker-compose.yml."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    named = re.compile(r"docker compose (?:exec(?: -T)?|logs(?: -f)?|ps|stop) (\w+)")
    lines = [line for command in load() for line in (command.guide, command.runs, *command.before, *command.after)]
    found = {name for line in lines for name in named.findall(line)}
    assert {"app", "postgres", "redis"} <= found
    assert found - services.keys() == set()


def _printed(guide: str) -> Iterator[str]:
    """Every command of the guide as printed: lines of its shell blocks, its Python, and those within a sentence."""
    at = 0
    for fence in FENCE.finditer(guide):
        yield from _inline(guide[at : fence.start()])
        at = fence.end()
        indent, kind, text = fence[1], fence[2], fence[3]
        body = "\n".join(line.removeprefix(indent) for line in text.splitlines())
        yield from [body] if kind == "python" else _lines(body)
    yield from _inline(guide[at:])


def _inline(text: str) -> list[str]:
    return re.findall(r"`(docker compose [^`]+)`", text)


def _lines(body: str) -> Iterator[str]:
    statement: list[str] = []
    for line in body.splitlines():
        if statement or line.startswith("SELECT"):
            statement.append(line.rstrip())
            if line.endswith(";"):
                yield "\n".join(statement)
                statement = []
        elif line.strip() and not re.match(r"\s*(#|[A-Z_]+=)", line):
            yield line.strip()


def test_blocks_and_sentences_of_a_guide_are_read() -> None:
    """Comments and settings are no commands; SQL and Python are one each; an indented block loses its indent."""
    guide = (
        "Use `docker compose ps` and `x`.\n```bash\n# why\nA_B=c\ndocker compose up -d\nSELECT \n  1;\n```\n"
        "1. **It**:\n   ```python\n   a\n     b\n   ```\nSee `docker compose logs app`.\n"
    )
    assert list(_printed(guide)) == [
        "docker compose ps", "docker compose up -d", "SELECT\n  1;", "a\n  b", "docker compose logs app",
    ]  # fmt: skip


@pytest.mark.needs("operations-guide")
def test_every_command_of_the_guide_is_there_in_its_order() -> None:
    """Word for word. OPERATIONS_GUIDE names the guide's file; it is no part of this repository."""
    printed = list(_printed(Path(os.environ["OPERATIONS_GUIDE"]).read_text(encoding="utf-8")))
    assert [command.guide for command in load(FILE)] == printed
