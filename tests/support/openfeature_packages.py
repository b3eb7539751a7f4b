"""OpenFeature's official JavaScript packages: installed from npm, as the lock file has them, into `.sandbox`."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = ROOT / "tests" / "protocols" / "openfeature" / "javascript"
FOLDER: Final = ROOT / ".sandbox" / "openfeature"
_LOCK: Final = "package-lock.json"
_TIMEOUT_S: Final = 180.0


class InstallError(Exception):
    """npm could not install the packages; the message is npm's own."""


def found() -> str | None:
    """Where the packages are installed; None without them, without Node.js, or where they are not those of the lock."""
    modules, installed = FOLDER / "node_modules", FOLDER / _LOCK
    if shutil.which("node") is None or not modules.is_dir() or not installed.is_file():
        return None
    return str(modules) if installed.read_bytes() == (SOURCES / _LOCK).read_bytes() else None


def install() -> None:
    """Fetch the packages, as far as there is npm; InstallError where it fails."""
    npm = shutil.which("npm")
    if npm is None:
        return
    unfinished = FOLDER.with_suffix(".unfinished")
    for folder in (FOLDER, unfinished):
        shutil.rmtree(folder, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name in ("package.json", _LOCK):
        shutil.copy(SOURCES / name, unfinished)
    done = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=unfinished, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        raise InstallError(done.stderr or done.stdout)
    unfinished.rename(FOLDER)


if __name__ == "__main__":
    if found() is None:
        install()
