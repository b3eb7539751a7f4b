"""A backup checked: loaded into a scratch database, which is dropped afterwards, and compared with its manifest."""

from datetime import UTC, datetime

import msgspec
from prometheus_client import CollectorRegistry

from common.settings import Secret
from writer.backup import loading, scratch
from writer.backup import manifest as manifests
from writer.backup.loading import Dump
from writer.backup.manifest import Manifest
from writer.health import Health
from writer.settings import DatabaseSettings

APPLICATION = "billing-verify-backup"


async def verify(dump: Dump, settings: DatabaseSettings, scratch_url: Secret) -> str | None:
    """Load and compare it at the server that `scratch_url` names; BackupError where it is not good.

    The result is what a writer of this release would say of its schema; None: it can be worked with as it is.
    """
    async with (
        scratch.server(scratch_url, application_name=APPLICATION) as server,
        scratch.database(server, scratch.VERIFYING) as name,
        loading.engine_of(settings, server.url_of(name), APPLICATION) as engine,
    ):
        await loading.load(dump, server.url_of(name), engine)
        await loading.compare(dump, engine)
        return await Health(engine, CollectorRegistry()).unready_reason()


def mark(dump: Dump) -> Manifest | None:
    """Write into the manifest that it was verified now; None where there is no manifest."""
    if dump.manifest is None:
        return None
    verified = msgspec.structs.replace(dump.manifest, verified_at=datetime.now(UTC))
    manifests.write(verified, manifests.beside(dump.path))
    return verified
