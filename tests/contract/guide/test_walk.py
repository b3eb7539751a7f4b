"""The operations guide, line by line: each line has what proves it, nothing is left over."""

import ast
import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.contract.deploy.compose import ROOT
from tests.docker_smoke.commands import load

WALK: Final = ROOT / "tests" / "guide" / "walk.yaml"
KINDS: Final = {"words", "command", "variable", "endpoint", "key", "promise", "advice"}
HEADING: Final = re.compile(r"^(#+) (.*)$")


def entries() -> list[dict[str, Any]]:
    """The walk's entries."""
    found: list[dict[str, Any]] = yaml.safe_load(WALK.read_text(encoding="utf-8"))
    return found


def lines_of(entry: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Section and number of each line that an entry is about."""
    for part in str(entry["lines"]).split(","):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            yield entry["at"], number


@cache
def _tests_of(path: Path) -> frozenset[str]:
    """Names of a module's tests."""
    parsed = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in parsed.body if isinstance(node, kinds))


@cache
def anchors_in(path: Path) -> frozenset[str]:
    """Anchors of a page's headings, as they are linked to."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def proves(proof: str) -> bool:
    """Whether there is such a test, command, make target, or section."""
    if proof.startswith("tests/"):
        path, _, name = proof.partition("::")
        return (ROOT / path).is_file() and name in _tests_of(ROOT / path)
    if proof.startswith("command "):
        return proof.removeprefix("command ") in {command.id for command in load()}
    if proof.startswith("make "):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        return re.search(rf"^{re.escape(proof.removeprefix('make '))}:", makefile, re.MULTILINE) is not None
    page, _, anchor = proof.partition("#")
    return (ROOT / page).is_file() and (not anchor or anchor in anchors_in(ROOT / page))


def test_every_proof_is_there() -> None:
    """Tests, commands, make targets and sections exist by the names that the walk gives them."""
    named = {proof for entry in entries() for proof in entry.get("proof", ())}
    assert len(named) > 80
    assert sorted(proof for proof in named if not proves(proof)) == []


def test_every_line_that_gives_something_is_proven() -> None:
    """Only words need no proof, and only advice may rest on a page alone."""
    for entry in entries():
        assert entry["is"] in KINDS
        proofs = entry.get("proof", [])
        if entry["is"] == "words":
            assert proofs == [], entry
            continue
        assert entry["what"], entry
        assert proofs, entry
        if entry["is"] != "advice":
            assert any(not proof.startswith("docs/") for proof in proofs), entry


def test_names_stand_in_the_documents() -> None:
    """Variables stand in settings.md, endpoints in api.md, keys in operations.md."""
    pages = {"variable": "settings.md", "endpoint": "api.md", "key": "operations.md"}
    for entry in entries():
        if entry["is"] in pages:
            assert entry["what"] in (ROOT / "docs" / pages[entry["is"]]).read_text(encoding="utf-8"), entry


def test_no_command_is_left_over() -> None:
    """Each command of commands.yaml, which `make docker-smoke` runs, belongs to a line."""
    named = {proof.removeprefix("command ") for entry in entries() for proof in entry.get("proof", ())}
    assert [command.id for command in load() if command.id not in named] == []


def test_no_line_stands_twice() -> None:
    """Each line has one entry."""
    counted = Counter(line for entry in entries() for line in lines_of(entry))
    assert [line for line, times in counted.items() if times > 1] == []


def guide_lines(text: str) -> Iterator[tuple[str, int]]:
    """Section and number of each line of a guide that says something."""
    above: list[str] = []
    number, fenced = 0, False
    for line in text.splitlines():
        if line.strip().startswith("```"):
            fenced = not fenced
            continue
        heading = None if fenced else HEADING.match(line)
        if heading:
            level = len(heading[1])
            above, number = [*above[: level - 2], heading[2]] if level > 1 else [], 0
        elif line.strip():
            number += 1
            yield " / ".join(above), number


def test_a_guides_lines_are_counted() -> None:
    """Empty lines, fences and headings are none; a comment within a block is one, as in a shell."""
    text = "# Guide\nwords\n## A\n### B\n\n```bash\n# why\nx\n```\n- y\n### C\nz\n## D\n1. w\n"
    assert list(guide_lines(text)) == [("", 1), ("A / B", 1), ("A / B", 2), ("A / B", 3), ("A / C", 1), ("D", 1)]


@pytest.mark.needs("operations-guide")
def test_nothing_of_the_guide_is_left_over() -> None:
    """Each line of the guide has its entry, and no entry is about a line that is not there."""
    told = {line for entry in entries() for line in lines_of(entry)}
    there = set(guide_lines(Path(os.environ["OPERATIONS_GUIDE"]).read_text(encoding="utf-8")))
    assert (sorted(there - told), sorted(told - there)) == ([], [])
