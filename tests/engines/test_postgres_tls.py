"""Postgres over TLS, as `?sslmode=…` of DATABASE_URL asks for it: both drivers see who answers."""

import ssl
from pathlib import Path

import pytest
from psycopg import OperationalError
from sqlalchemy import create_engine as sync_engine
from sqlalchemy import text

from sandbox.postgres import PostgresServer
from tests.support.certificates import Authority
from tests.support.postgres import StartPostgres, migrate
from tests.support.tools import TOOLS
from writer.db.engine import create_engine
from writer.db.url import sync_url
from writer.settings import read_database

pytestmark = [pytest.mark.needs("postgres"), pytest.mark.needs("openssl")]

IS_ENCRYPTED = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")


@pytest.fixture
async def encrypted(
    postgres_server: StartPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[PostgresServer, Authority]:
    """A server that its authority signed for 127.0.0.1; the wheel's own cannot speak TLS."""
    monkeypatch.setenv("SANDBOX_POSTGRES_BIN", str(TOOLS["postgres"].find()))
    authority = Authority(tmp_path)
    own = authority.sign("server")
    settings = {"ssl": "on", "ssl_cert_file": str(own.certificate), "ssl_key_file": str(own.key)}
    return await postgres_server(settings=settings), authority


async def test_the_server_is_verified_by_both_drivers(encrypted: tuple[PostgresServer, Authority]) -> None:
    """With `verify-full` and the authority, migrations and the writer's engine talk, and nobody can read it."""
    server, authority = encrypted
    url = f"{server.url}?sslmode=verify-full&sslrootcert={authority.certificate}"
    migrate(url)
    engine = create_engine(read_database({"DATABASE_URL": url}))
    try:
        async with engine.connect() as connection:
            assert (await connection.execute(IS_ENCRYPTED)).scalar_one()
    finally:
        await engine.dispose()
    plain = sync_engine(sync_url(url))
    with plain.connect() as connection:
        assert connection.execute(IS_ENCRYPTED).scalar_one()
    plain.dispose()


async def test_a_server_that_nobody_we_trust_has_signed_is_refused(
    encrypted: tuple[PostgresServer, Authority], tmp_path: Path
) -> None:
    """With another authority neither driver goes on."""
    server, _ = encrypted
    stranger = Authority(tmp_path, "stranger")
    url = f"{server.url}?sslmode=verify-full&sslrootcert={stranger.certificate}"
    engine = create_engine(read_database({"DATABASE_URL": url}))
    try:
        with pytest.raises(ssl.SSLCertVerificationError):
            async with engine.connect():
                pass
    finally:
        await engine.dispose()
    plain = sync_engine(sync_url(url))
    with pytest.raises(OperationalError, match="certificate verify failed"):
        plain.raw_connection()
    plain.dispose()
