"""As whom the servers run: Postgres refuses to be root, so root gives the role away."""

import functools
import os
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Final

LAUNCHER: Final = Path(__file__).with_name("launch.py")
NOBODY: Final = 65534


class Identity(StrEnum):
    """How a child's identity differs from its parent's."""

    SAME = "same"
    NAMESPACE = "namespace"
    DROP = "drop"


def launch_command(identity: Identity, death_signal: int, argv: tuple[str, ...]) -> list[str]:
    """Put the launcher in front of `argv`, whose first item is an absolute path."""
    launcher = [sys.executable, "-I", "-S", str(LAUNCHER)]
    return [*launcher, str(os.getpid()), str(death_signal), identity.value, *argv]


@functools.cache
def server_identity() -> Identity:
    """Choose how servers run here: as they are, in a user namespace, or as nobody.

    A namespace comes first because it leaves file ownership alone; containers often forbid it.
    """
    if os.geteuid() != 0:
        return Identity.SAME
    probe = launch_command(Identity.NAMESPACE, 9, (sys.executable, "-I", "-S", "-c", ""))
    done = subprocess.run(probe, check=False, capture_output=True, timeout=30)
    return Identity.NAMESPACE if done.returncode == 0 else Identity.DROP


def hand_over(path: Path, identity: Identity) -> None:
    """Make an existing file or directory belong to whoever runs the server."""
    if identity is Identity.DROP:
        os.chown(path, NOBODY, NOBODY)
