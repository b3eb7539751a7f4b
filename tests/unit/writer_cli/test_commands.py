"""What holds for every command of `billing`: an example, JSON, exit statuses, and no question to nobody."""

import ast
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from writer import cli
from writer.cli import main

SOURCES = sorted(Path(cli.__file__).parent.glob("*.py"))
ASKS = {"confirm", "prompt", "getpass", "input", "pause", "edit"}
"""Names of functions that wait for somebody at a keyboard."""


def walk(group: click.Group, *above: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from walk(command, *above, name)
        else:
            yield (*above, name), command


COMMANDS = [pytest.param(words, command, id=" ".join(words)) for words, command in walk(main)]


@pytest.mark.parametrize(("words", "command"), COMMANDS)
def test_every_command_shows_how_it_is_used(words: tuple[str, ...], command: click.Command) -> None:
    """Its help has an example of itself, tells how it ends, and each of its options says what it does."""
    told = CliRunner().invoke(main, [*words, "--help"])
    assert told.exit_code == 0
    assert f"billing {' '.join(words)}" in told.stdout.partition("Example")[2]
    assert "Exit status:" in told.stdout
    assert "--json" in {name for option in command.params for name in option.opts}
    assert [one.name for one in command.params if isinstance(one, click.Option) and not one.help] == []


@pytest.mark.parametrize(("words", "command"), COMMANDS)
def test_no_option_asks_for_itself(words: tuple[str, ...], command: click.Command) -> None:
    """Click would prompt for an option that is missing, on a terminal or not."""
    asked = [option.name for option in command.params if isinstance(option, click.Option) and option.prompt]
    assert (words, asked) == (words, [])


def test_only_one_place_asks_and_only_on_a_terminal() -> None:
    """Every question passes `session.confirm`, which refuses where stdin is no terminal."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                calls = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
                asking = [one for one in calls if isinstance(one, ast.Attribute) and one.attr in ASKS]
                bare = [one for one in calls if isinstance(one, ast.Name) and one.id in ASKS - {"confirm"}]
                found += [(path.stem, node.name)] * bool(asking or bare)
    assert found == [("session", "confirm")]
