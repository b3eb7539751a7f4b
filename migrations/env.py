"""Runs migrations on the database that `DATABASE_URL` names, one runner at a time."""

import os
import sys

from alembic import context
from sqlalchemy import create_engine, pool, text

from common.logs import LogLevel, configure
from common.settings import Reader, SettingsError
from writer.db.models import Base
from writer.db.url import sync_url
from writer.settings import Pooler

# Any number, the same for every runner: replicas that start together wait for one of them to migrate.
_LOCK = 7_070_000_001


def _database_url() -> str:
    reader = Reader(os.environ)
    url = reader.url("DATABASE_URL", "postgresql", "postgres")
    if reader.choice("DATABASE_POOLER", Pooler, Pooler.NONE) is Pooler.TRANSACTION:
        # A lock of the session's would stay on a connection that is somebody else's by then.
        reader.fault(
            "DATABASE_POOLER",
            "is set: migrate at Postgres itself, with its own DATABASE_URL and without DATABASE_POOLER",
        )
    reader.finish()
    return url


def _migrate() -> None:
    engine = create_engine(sync_url(_database_url()), poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_server_default=True,
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})


def _print_sql() -> None:
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


configure(LogLevel.INFO)
try:
    if context.is_offline_mode():
        _print_sql()
    else:
        _migrate()
except SettingsError as error:
    sys.exit(str(error))
