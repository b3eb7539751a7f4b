"""docker-compose.yml as the real Compose reads it; no engine is needed for that."""

import os
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

ROOT: Final = Path(__file__).resolve().parents[3]
EXAMPLE: Final = ROOT / ".env.example"
PROFILES: Final = ("backup", "sidecar", "sandbox", "monitoring")

Json = dict[str, Any]


def compose(env_file: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> Json:
    """`docker compose ARGUMENTS config` as JSON. AssertionError with what Compose says where it refuses."""
    done = subprocess.run(
        [_program(), "--project-directory", str(ROOT), "--env-file", str(env_file), *arguments, "config",
         "--format", "json"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **(variables or {})},
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: Json = orjson.loads(done.stdout)
    return found


def _program() -> str:
    """The wheel's own program: its script of the same name does not hand on the exit status."""
    spec = find_spec("compose")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "docker-compose")
