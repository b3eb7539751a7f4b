"""The sandbox's own secrets: made once, kept beside the data that they open."""

import os
import secrets
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Self

import orjson

STRIPE_KEY: Final = "sk_test_sandbox"


@dataclass(frozen=True, slots=True)
class Keyring:
    """What opens what. `projects`: a key for each project, known once the writer has given it."""

    admin: str = field(repr=False)
    webhook: str = field(repr=False)
    projects: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def new(cls) -> Self:
        """Fresh secrets."""
        return cls(admin=f"admin_{secrets.token_hex(16)}", webhook=f"whsec_{secrets.token_hex(16)}")

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Those of an earlier run, or fresh ones."""
        if path is None or not path.exists():
            return cls.new()
        return cls(**orjson.loads(path.read_bytes()))

    def with_project(self, project: str, key: str) -> Self:
        """The same with a project's key."""
        return replace(self, projects=self.projects | {project: key})

    def save(self, path: Path | None) -> None:
        """Keep it for the next run, for this user's eyes only."""
        if path is not None:
            write_private(path, orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    side = path.with_name(f".{path.name}.{os.getpid()}")
    side.unlink(missing_ok=True)
    with os.fdopen(os.open(side, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    side.replace(path)
