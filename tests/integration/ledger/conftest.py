"""A project with a small catalogue, on a fresh database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.catalogue import Feature, Kind
from common.clock import SystemClock
from common.identifiers import FeatureCode, UserId
from common.settings import Secret
from tests.support.ledger import Untouched
from writer import outbox
from writer.db.engine import create_engine
from writer.db.transaction import Transactions
from writer.domain.catalogue import Definition
from writer.outbox import Cause, Revision
from writer.recompute import Recompute, UserKey, lock_users
from writer.settings import DatabaseSettings, GraceSettings

EXPORT = FeatureCode("export")
SEATS = FeatureCode("seats")
FEATURES = {EXPORT: Feature(EXPORT), SEATS: Feature(SEATS, Kind.LIMIT)}


@dataclass
class Ledger:
    """One project, and the two acts that tests need."""

    engine: AsyncEngine
    transactions: Transactions
    recompute: Recompute
    project_id: int

    async def grant(self, user: str, feature: str = EXPORT, value: object = None) -> list[Revision]:
        """Give a user a feature by hand, through the ordinary path."""

        async def work(connection: AsyncConnection) -> list[Revision]:
            key = UserKey(self.project_id, UserId(user))
            refs = await lock_users(connection, [key])
            await connection.execute(
                text("""INSERT INTO manual_grants (user_ref, feature_code, value, valid_from, reason, actor)
                        VALUES (:ref, :feature, CAST(CAST(:value AS text) AS jsonb), '2026-01-01Z', 'test', 'test')"""),
                {"ref": refs[key], "feature": feature, "value": None if value is None else str(value)},
            )
            return await self.recompute.users(connection, list(refs.values()), Cause("grant:test"))

        return await self.transactions.run(work)

    async def define(self, definition: Definition) -> None:
        """Put a catalogue in force."""

        async def work(connection: AsyncConnection) -> None:
            await outbox.append_catalogue(
                connection, self.project_id, definition, actor="test", now=SystemClock().now()
            )

        await self.transactions.run(work)


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    """A project `notes` with the features export and seats."""
    settings = DatabaseSettings(Secret(database_url), None, 10, 30, 10, 30)
    engine = create_engine(settings)
    transactions = Transactions(engine, Untouched())
    async with engine.begin() as connection:
        project_id = await connection.scalar(
            text("""INSERT INTO projects (public_id, name, epoch, home_oid)
                    VALUES ('notes', 'Notes', 7, 'projects'::regclass) RETURNING id""")
        )
    assert project_id is not None
    recompute = Recompute(GraceSettings(entitlement=259_200, trial=3_600, past_due=2_592_000), SystemClock())
    ledger = Ledger(engine, transactions, recompute, project_id)
    await ledger.define(Definition(1, FEATURES))
    yield ledger
    await engine.dispose()
