"""`check_db_connection` and `SessionLocal`, as the operations guide uses them; `DATABASE_URL` says which database."""

import logging
import os
from functools import cache

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from common.settings import SettingsError
from writer import settings
from writer.db.url import sync_url

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 5


def check_db_connection() -> bool:
    """Whether the database answers; where it does not, a log line says why, without the URL."""
    try:
        with _engine(_url()).connect() as connection:
            connection.execute(text("SELECT 1"))
    except SettingsError as error:
        _log.error("no connection to the database: %s", "; ".join(error.faults))
        return False
    except SQLAlchemyError as error:
        kind = type(getattr(error, "orig", None) or error).__name__
        _log.error("no connection to the database (%s): check DATABASE_URL and that Postgres runs", kind)
        return False
    return True


def SessionLocal() -> Session:  # noqa: N802 - the guide's name
    """A session on the database; close it, or use it in a `with`. SettingsError where `DATABASE_URL` is wrong."""
    return sessionmaker(_engine(_url()))()


def _url() -> str:
    return settings.read_database(os.environ).url.reveal()


@cache
def _engine(url: str) -> Engine:
    # Never prepared: a pooler may run each transaction on another connection of Postgres's.
    options = {"connect_timeout": _CONNECT_SECONDS, "prepare_threshold": None}
    return create_engine(sync_url(url), pool_pre_ping=True, connect_args=options)
