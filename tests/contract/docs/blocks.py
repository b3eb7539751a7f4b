"""The fenced blocks of the documents: in which language, where, and what a shell would be told by them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
DOCS: Final = ROOT / "docs"
PAGES: Final = (*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")))

_FENCED: Final = re.compile(
    r"^(?:<!-- (?P<mark>[a-z ]+) -->\n)?```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_PROMPT: Final = re.compile(r"^\$ ")
_OPERATORS: Final = frozenset({"|", "||", "&&", ";", "&", ">", ">>", "<", "(", ")"})
SHELL: Final = frozenset({"", "sh", "bash"})


@dataclass(frozen=True, slots=True)
class Block:
    """One block. `mark`: what a comment right above it says, such as `run`."""

    path: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def of(path: Path) -> list[Block]:
    """The blocks of one page."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(path, text.count("\n", 0, match.start()) + 1, match["language"], match["mark"] or "", match["text"])
        for match in _FENCED.finditer(text)
    ]


def every() -> list[Block]:
    """All blocks of all pages."""
    return [block for path in PAGES for block in of(path)]


@dataclass(frozen=True, slots=True)
class Line:
    """A simple command: its words, without what is piped in or out."""

    place: str
    words: tuple[str, ...]


def commands(block: Block) -> Iterator[Line]:
    """The simple commands of a block for a shell; of one with prompts those behind a prompt.

    What has `…` in it was cut for the reader, and is left out.
    """
    if block.language not in SHELL:
        return
    lines = block.text.replace("\\\n", " ").splitlines()
    prompted = any(_PROMPT.match(line) for line in lines)
    for number, line in enumerate(lines, block.line + 1):
        if prompted and not _PROMPT.match(line):
            continue
        told = _PROMPT.sub("", line)
        if "…" not in told:
            yield from (Line(f"{block.path.relative_to(ROOT)}:{number}", words) for words in _simple(told))


def _simple(line: str) -> Iterator[tuple[str, ...]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:
        return  # an answer, or a text with an apostrophe
    simple: list[str] = []
    for word in words:
        if word.startswith("#"):
            break
        if word in _OPERATORS:
            yield tuple(simple)
            simple = []
        else:
            simple.append(word)
    yield tuple(simple)


def inside(words: tuple[str, ...]) -> tuple[str, ...]:
    """A command without what carries it into a container."""
    if words[:2] in {("docker", "compose"), ("kubectl", "exec")}:
        rest = list(words[2:])
        if words[0] == "docker" and rest[:1] in (["exec"], ["run"]):
            rest = _without_options(rest[1:])
            return tuple(rest[1:])
        if words[0] == "kubectl" and "--" in rest:
            return tuple(rest[rest.index("--") + 1 :])
    return words


def _without_options(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[1:]
    return words
