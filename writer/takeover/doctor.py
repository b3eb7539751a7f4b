"""Examines how Stripe, the settings and the database fit together, and says of each fault how to mend it."""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import Clock
from writer.gateway.errors import KeyRefusedError, StripeUnavailableError, UnpacedError
from writer.gateway.stripe_account import StripeAccount
from writer.settings import StripeSettings
from writer.takeover import database_checks, stripe_checks
from writer.takeover.finding import Finding, bad, doubtful


class Doctor:
    """Looks, and changes nothing. It raises the database's faults, also as UnpacedError."""

    def __init__(self, engine: AsyncEngine, account: StripeAccount, settings: StripeSettings, clock: Clock) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._account = account
        self._settings = settings
        self._clock = clock

    async def examine(self, url: str | None) -> Sequence[Finding]:
        """Every check in turn; `url`: the webhook's, where its path alone does not tell it from others.

        What can be looked at is looked at, also where Stripe is away.
        """
        findings: list[Finding] = []
        try:
            await self._at_stripe(findings, url)
        except UnpacedError:
            raise
        except KeyRefusedError:
            mend = "set STRIPE_SECRET_KEY to a key of this account that was not rolled"
            findings.append(bad("key", "Stripe does not take STRIPE_SECRET_KEY", mend))
        except StripeUnavailableError as error:
            mend = "look at the way from here to Stripe, at STRIPE_API_BASE and at Stripe's status page; then ask again"
            findings.append(bad("Stripe", f"it cannot be asked: {error.reason}", mend))
        return [*findings, *await self._database()]

    async def _at_stripe(self, findings: list[Finding], url: str | None) -> None:
        findings += await self._key()
        findings += await stripe_checks.permissions(self._account)
        findings += await stripe_checks.endpoint(self._settings, self._account, url)
        findings += await self._permitted("deliveries", self._deliveries)
        async with self._engine.connect() as connection:
            chosen = await database_checks.portals(connection)
        findings += await stripe_checks.portal(self._account, chosen)

    async def _key(self) -> list[Finding]:
        try:
            return await stripe_checks.key(self._settings, self._account, self._clock)
        except KeyRefusedError as error:
            if not error.forbidden:
                raise
            told = "the key may not read the account"
            return [doubtful("key", told, "a restricted key: its clock is not compared")]

    async def _deliveries(self) -> list[Finding]:
        newest = await stripe_checks.newest_due(self._account, self._clock)
        findings = await stripe_checks.undelivered(self._account, self._clock)
        async with self._engine.connect() as connection:
            polled = self._settings.poll is not None
            return [*findings, await database_checks.arrival(connection, newest, polled=polled)]

    async def _permitted(self, check: str, look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
        try:
            return await look()
        except KeyRefusedError:
            return [doubtful(check, "the key may not read Events", "give the restricted key Read on Events")]

    async def _database(self) -> list[Finding]:
        async with self._engine.connect() as connection:
            return [
                await database_checks.clock(connection, self._clock),
                await database_checks.mode(connection, livemode=self._settings.livemode),
                *await database_checks.catalogues(connection),
                await database_checks.unassigned(connection),
                await database_checks.parked(connection),
            ]
