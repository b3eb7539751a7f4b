"""`billing backup`, `billing verify-backup`, `billing restore`."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from common.logs import configure_command
from writer import settings
from writer.backup import loading, making, records, restoring, verifying
from writer.backup import manifest as manifests
from writer.backup.errors import BackupError
from writer.backup.folder import mib
from writer.backup.loading import Dump
from writer.backup.manifest import Manifest
from writer.backup.restoring import Restored, Target
from writer.cli.progress import Show, progress
from writer.cli.session import actor, confirm, database_words, fail, json_option, print_json, told, yes_option
from writer.settings import BackupSettings
from writer.supervision import DATABASE_FAULTS

T = TypeVar("T")

_APPLICATION: Final = "billing-backup"
_JOBS: Final = min(4, os.cpu_count() or 1)

_file: Final = click.argument(
    "file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path, resolve_path=True)
)
_jobs: Final = click.option(
    "--jobs", type=click.IntRange(1, 64), default=_JOBS, show_default=True, help="Tables and indexes at a time."
)


@click.command()
@click.option(
    "--directory", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where backups are kept."
)
@click.option(
    "--keep-days",
    type=click.IntRange(1, 36_500),
    help="Remove what is older, once a new one was made; the last one of a database always stays.",
)
@click.option("--verify", is_flag=True, help="Restore it into a scratch database, compare, and drop that again.")
@click.option(
    "--scratch-url",
    envvar="BACKUP_SCRATCH_URL",
    help="Another server for --verify. With a password better in BACKUP_SCRATCH_URL.",
)
@_jobs
@json_option
def backup(
    *, directory: Path, keep_days: int | None, verify: bool, scratch_url: str | None, jobs: int, as_json: bool
) -> None:
    """Back the database up into a file, while writers go on.

    It is written aside and put in place whole, with a manifest beside it. One backup of a database at a time.

    \b
    Example:
      billing backup --directory /var/lib/billing-backups --keep-days 30 --verify
    """
    read = _read(scratch_url)
    keep = None if keep_days is None else timedelta(days=keep_days)

    async def work(show: Show) -> tuple[Path, Manifest, list[str]]:
        return await _back_up(read, directory, keep, jobs if verify else None, show)

    made, manifest, pruned = _run(work, quiet=as_json)
    if as_json:
        print_json({**_to_json(made, manifest), "pruned": pruned})
        return
    held = manifest.contents
    click.echo(f"{made}: {mib(manifest.size)}, {sum(held.tables.values())} rows, schema {held.schema_revision}")
    for project in held.projects:
        click.echo(f"  {project.project}: {project.epoch}.{project.revision}, {project.users} users")
    if manifest.verified_at is not None:
        click.echo("verified: restored into a scratch database, rows and digests are equal")
    for name in pruned:
        click.echo(f"removed {name}")


@click.command("verify-backup")
@_file
@click.option(
    "--scratch-url",
    envvar="BACKUP_SCRATCH_URL",
    help="The server to restore at; that of DATABASE_URL where left out. With a password better in BACKUP_SCRATCH_URL.",
)
@click.option("--record", is_flag=True, help="Tell the database that DATABASE_URL names that it was verified.")
@_jobs
@json_option
def verify_backup(*, file: Path, scratch_url: str | None, record: bool, jobs: int, as_json: bool) -> None:
    """Restore a backup into a scratch database, compare it with its manifest, and drop that database again.

    Rows of each table and where each project stood are compared, and each project's digest is computed anew from the
    restored documents. The database that DATABASE_URL names is not touched. Exit status 1 where anything differs.

    \b
    Examples:
      billing verify-backup /var/lib/billing-backups/billing_db-20261129T020000Z.dump
      billing verify-backup billing_db-20261129T020000Z.dump --scratch-url postgresql://checker@scratch/postgres
    """
    if record:
        told(settings.read_backup)
    read = _read(scratch_url, alone=not record)

    async def work(show: Show) -> tuple[Manifest | None, str | None]:
        dump = Dump(file, await _examined(file, show), read.programs, jobs)
        reason = await _verified(dump, read, show)
        manifest = verifying.mark(dump)
        if record and manifest is not None:
            async with loading.engine_of(read.database, read.database.url, _APPLICATION) as engine:
                await records.note(engine, manifest)
        return manifest, reason

    manifest, reason = _run(work, quiet=as_json)
    if as_json:
        print_json({"file": file.name, "equal": True, "compared": manifest is not None, "schema": reason})
        return
    what = "rows and digests are equal" if manifest is not None else "there is no manifest; its digests are right"
    click.echo(f"{file.name} is good: {what}")
    if reason is not None:
        click.echo(f"for this release: {reason}")


@click.command()
@_file
@click.option("--replace", is_flag=True, help="Restore beside a database that is not empty, and let it take the name.")
@click.option("--privileges", is_flag=True, help="Grant again what other roles had; they must exist.")
@_jobs
@yes_option
@json_option
def restore(*, file: Path, replace: bool, privileges: bool, jobs: int, yes: bool, as_json: bool) -> None:
    """Restore a backup into the database that DATABASE_URL names, and begin new epochs in it.

    Into an empty database, in one transaction; with --replace into another one, which takes the name at the end: the
    database that was there stays under another name. Refuses while writers are connected.

    \b
    Examples:
      billing restore /var/lib/billing-backups/billing_db-20261129T020000Z.dump
      billing restore /var/lib/billing-backups/billing_db-20261129T020000Z.dump --replace --yes
    """
    read = told(settings.read_backup)
    target = Target(read.database)
    manifest = _run(lambda show: _restorable(file, show), quiet=as_json)
    _agree(file, manifest, target.name, replace=replace, yes=yes)

    async def work(show: Show) -> Restored:
        show(f"restoring {file.name}", None, None)
        dump = Dump(file, manifest, read.programs, jobs, privileges)
        restored = await restoring.restore(dump, target, replace=replace)
        async with loading.engine_of(read.database, read.database.url, _APPLICATION) as engine:
            await records.note_restore(engine, actor(), file.name, manifest)
            if manifest is not None:
                await records.note(engine, manifest)
        return restored

    restored = _run(work, quiet=as_json)
    if as_json:
        print_json({"database": restored.database, "kept_as": restored.kept_as, "new_epochs": restored.projects})
        return
    click.echo(f"restored {restored.database} from {file.name}; new epochs: {restored.projects}")
    if restored.kept_as is not None:
        click.echo(f"what was there is kept as {restored.kept_as}; when nobody needs it: dropdb {restored.kept_as}")
    older = manifest is not None and restoring.needs_migration(manifest)
    steps = [*(["billing migrate"] if older else []), "start the writers", "billing reconcile --full"]
    click.echo(f"next: {', then '.join(steps)}; grants made since then have to be made again (docs/backups.md)")


async def _back_up(
    read: BackupSettings, directory: Path, keep: timedelta | None, jobs: int | None, show: Show
) -> tuple[Path, Manifest, list[str]]:
    """Make, note, verify where `jobs` are given, prune; what fails leaves all older ones where they are."""
    database = read.database
    async with (
        loading.engine_of(database, database.url, _APPLICATION) as engine,
        making.alone(engine, database.url, read.programs) as source,
    ):
        folder = making.folder_of(directory, source)
        show("dumping", None, None)
        made, manifest = await making.make(source, folder)
        await records.note(engine, manifest)
        if jobs is not None:
            dump = Dump(made, manifest, read.programs, jobs)
            await _verified(dump, read, show)
            manifest = verifying.mark(dump) or manifest
            await records.note(engine, manifest)
        pruned = [] if keep is None else [path.name for path in folder.prune(manifest, keep)]
    return made, manifest, pruned


async def _examined(file: Path, show: Show) -> Manifest | None:
    show(f"reading {file.name}", None, None)
    return await asyncio.to_thread(manifests.examine, file)


async def _restorable(file: Path, show: Show) -> Manifest | None:
    manifest = await _examined(file, show)
    if manifest is not None:
        restoring.refuse_newer(manifest)
    return manifest


async def _verified(dump: Dump, read: BackupSettings, show: Show) -> str | None:
    show(f"restoring {dump.path.name} into a scratch database", None, None)
    return await verifying.verify(dump, read.database, read.scratch_url or read.database.url)


def _agree(file: Path, manifest: Manifest | None, database: str, *, replace: bool, yes: bool) -> None:
    if manifest is None:
        click.echo(f"{file.name} has no manifest: nothing says what should be in it", err=True)
        when = "of an unknown time"
    else:
        when = f"of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC"
    place = f"in the place of the database {database}, which is kept" if replace else f"into the database {database}"
    confirm(f"Restore {file.name}, {when}, {place}? What came after it will not be there.", yes=yes)


def _read(scratch_url: str | None, *, alone: bool = False) -> BackupSettings:
    """The settings; `alone`: the scratch server is all that is needed, where one is named."""

    def read(environment: Any) -> BackupSettings:
        named = dict(environment)
        if scratch_url:
            named["BACKUP_SCRATCH_URL"] = scratch_url
            if alone:
                named |= {"DATABASE_URL": scratch_url, "DATABASE_POOLER": ""}
        return settings.read_backup(named)

    return told(read)


def _run(work: Any, *, quiet: bool) -> Any:
    """The result of `work`, which is told how to show how far it is; told to end, it takes back what it began."""
    configure_command()
    with progress(quiet=quiet) as show:
        try:
            return asyncio.run(_interruptible(work(show)))
        except asyncio.CancelledError:
            fail("told to end: what had been begun was taken back")
        except BackupError as error:
            fail(error.message, *error.details)
        except DATABASE_FAULTS as error:
            fail(database_words(error))


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _to_json(made: Path, manifest: Manifest) -> dict[str, Any]:
    return {
        "file": str(made),
        "size": manifest.size,
        "sha256": manifest.sha256,
        "made_at": manifest.made_at.isoformat(),
        "verified_at": None if manifest.verified_at is None else manifest.verified_at.isoformat(),
        "rows": sum(manifest.contents.tables.values()),
    }
