"""`DATABASE_URL` as operators write it, as each driver wants it."""

from sqlalchemy import URL, make_url


def sync_url(url: str) -> URL:
    """For psycopg, which serves Alembic and the operator's shell; libpq's options (`?sslmode=…`) pass through."""
    return make_url(url).set(drivername="postgresql+psycopg")


def asyncpg_dsn(url: str) -> str:
    """For asyncpg, which reads libpq's options itself; SQLAlchemy's `postgresql+driver` becomes plain."""
    _, _, rest = url.partition("://")
    return f"postgresql://{rest}"
