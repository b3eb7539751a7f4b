"""Builds the sidecar's native part where there is a C compiler: all works without it, large starts take longer."""

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("sidecar/native/module.c")
BUILT = Path("sidecar/_native.abi3.so")
FLAGS = ("-O3", "-fPIC", "-shared", "-Wall", "-Wextra")
_SECONDS = 120


class NativeHook(BuildHookInterface[Any]):
    """Runs the C compiler before a wheel is made, an editable one too."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the built part into the wheel; without one the wheel is a pure one."""
        why = build(Path(self.root))
        if why is not None:
            self.app.display_warning(f"the native part was not built: {why}")
            return
        if version != "editable":
            build_data["artifacts"].append(str(BUILT))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def build(root: Path) -> str | None:
    """Compile in the source tree; why it could not be done, or None."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = sysconfig.get_paths()["include"]
    aside = root / BUILT.with_suffix(f".{os.getpid()}")
    command = [*compiler, *FLAGS, f"-I{include}", str(root / SOURCE), "-o", str(aside)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)  # noqa: S603
        if done.returncode:
            return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"status {done.returncode}"
        aside.replace(root / BUILT)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        aside.unlink(missing_ok=True)
    return None
