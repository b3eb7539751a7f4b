"""The order of the operations guide: the writer is started first, and the database gets its schema afterwards."""

import asyncio
import logging

import aiohttp
import pytest

from tests.support.postgres import migrate
from tests.support.waiting import until
from writer import app as writer_app
from writer import settings as writer_settings

_AWAY = "redis://127.0.0.1:1/0"


async def test_a_writer_becomes_ready_by_itself_once_the_schema_is_there(
    empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Before, it is not ready and says what to do; its background work waits, and nothing of it crashes."""
    environment = {
        "WRITER_LISTEN": "127.0.0.1:0",
        "DATABASE_URL": empty_database_url,
        "REDIS_URL": _AWAY,
        "STRIPE_SECRET_KEY": "sk_test_first",
        "STRIPE_WEBHOOK_SECRET": "whsec_first",
        "STRIPE_API_BASE": "http://127.0.0.1:1",
        "STRIPE_SWEEP_EVERY": "1s",
        "ADMIN_API_KEY": "first",
    }
    with caplog.at_level(logging.INFO):
        async with (
            writer_app.running(writer_settings.read(environment)) as address,
            aiohttp.ClientSession(f"http://{address}") as session,
        ):
            await until(lambda: "Stripe's event list is away" in caplog.text)
            async with session.get("/ready") as answer:
                assert answer.status == 503
                assert "alembic upgrade head" in (await answer.json())["detail"]
            await asyncio.to_thread(migrate, empty_database_url)
            async with session.get("/ready") as answer:
                assert answer.status == 200
            await until(lambda: "Postgres, for pending events is back" in caplog.text)
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
