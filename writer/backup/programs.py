"""Postgres's own programs: found, compared with the server's version, run without a password on the command line."""

import asyncio
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url

from common.settings import Secret
from writer.backup.errors import BackupError

_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")
_GRACE_SECONDS: Final = 5.0
_SHOWN: Final = 8
_HANDED_ON: Final = re.compile(r"PATH|HOME|LANG|TMPDIR|LD_LIBRARY_PATH|(?:PG|KRB5|SSL_CERT_)\w+")
"""Of our environment: a program needs none of our keys."""

_NOT_KNOWN_BEFORE: Final = 17
"""From this version on pg_restore sets transaction_timeout, which older servers refuse; it does no harm there."""
_HARMLESS: Final = "transaction_timeout"


@dataclass(frozen=True, slots=True)
class Program:
    """A program of Postgres's that can be run."""

    name: str
    path: str
    version: str
    """Such as 15.14."""

    @property
    def major(self) -> int:
        """The number that tells what it can read and write."""
        return major_of(self.version)


def major_of(version: str) -> int:
    """15 of 15.14 (Debian 15.14-0+deb12u1)."""
    found = re.match(r"\d+", version)
    if found is None:
        raise BackupError(f"{version!r} is no version of Postgres")
    return int(found[0])


async def find(name: str, folder: Path | None) -> Program:
    """The program in `folder` (POSTGRES_BIN), or on the path where that is None."""
    path = shutil.which(name, path=None if folder is None else str(folder))
    if path is None:
        where = "on the path" if folder is None else f"in {folder}, which POSTGRES_BIN names"
        raise BackupError(
            f"there is no {name} {where}: install Postgres's client programs of the server's version or newer, "
            "or name their folder in POSTGRES_BIN"
        )
    process = await asyncio.create_subprocess_exec(path, "--version", stdout=asyncio.subprocess.PIPE)
    said = (await process.communicate())[0].decode(errors="replace")
    found = _VERSION.search(said)
    if process.returncode or found is None:
        raise BackupError(f"{path} --version does not say which Postgres it is of: {said.strip()!r}")
    return Program(name, path, found[1] + found[2])


async def for_server(name: str, folder: Path | None, server_version: str) -> Program:
    """The same, of the server's version or a newer one: an older one does not know what the server has."""
    program = await find(name, folder)
    if program.major < major_of(server_version):
        raise BackupError(
            f"{program.path} is of Postgres {program.version}, the server is {server_version}: "
            f"install the client programs of Postgres {major_of(server_version)} or newer, "
            "or name their folder in POSTGRES_BIN"
        )
    return program


async def run(program: Program, url: Secret, *arguments: str) -> None:
    """Run it on the database that `url` names, and wait. It ends with us. Raises BackupError with its last words."""
    code, said = await _run(program, url, arguments)
    if code:
        raise BackupError(f"{program.name} failed with status {code}", *_last(said))


async def restore(program: Program, url: Secret, server_version: str, *arguments: str) -> None:
    """Run pg_restore. What an older server refuses and does not need is passed over, and nothing else is."""
    code, said = await _run(program, url, arguments)
    if code and not (speaks_too_new(program, server_version) and _only_the_harmless(said)):
        raise BackupError(f"{program.name} failed with status {code}", *_last(said))


def speaks_too_new(program: Program, server_version: str) -> bool:
    """Whether pg_restore says something that the server refuses."""
    return program.major >= _NOT_KNOWN_BEFORE > major_of(server_version)


async def _run(program: Program, url: Secret, arguments: tuple[str, ...]) -> tuple[int, str]:
    place, environment = _place(url)
    process = await asyncio.create_subprocess_exec(
        program.path,
        *("--no-password", "--dbname", place, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        said = (await process.communicate())[1].decode(errors="replace")
    finally:
        await _end(process)
    return process.returncode or 0, said


def _place(url: Secret) -> tuple[str, Mapping[str, str]]:
    """Where, as everybody may read it, and an environment with the password."""
    named = make_url(url.reveal())
    password = named.password or named.query.get("password")
    shown = URL.create(
        "postgresql",
        named.username,
        None,
        named.host,
        named.port,
        named.database,
        {name: value for name, value in named.query.items() if name not in {"password", "application_name"}},
    )
    environment = {name: value for name, value in os.environ.items() if _HANDED_ON.fullmatch(name)}
    environment |= {"LC_ALL": "C", "PGAPPNAME": "billing-backup"}
    if isinstance(password, str):
        environment["PGPASSWORD"] = password
    return shown.render_as_string(hide_password=False), environment


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _only_the_harmless(said: str) -> bool:
    errors = [line for line in said.splitlines() if "error:" in line]
    return bool(errors) and all(_HARMLESS in line for line in errors)


def _last(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.strip()][-_SHOWN:]
