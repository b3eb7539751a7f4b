"""The writer's own sweep, run when the town's time asks for it: it finds on Stripe's event list what was dropped."""

from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from common.clock import SECOND, Clock, Instant, SystemClock
from common.settings import Secret
from sandbox.stripe.clock import Clock as TownClock
from tests.support.window_limiter import WindowLimiter
from writer.db.engine import create_engine
from writer.db.transaction import Transactions
from writer.domain.stripe.event import Event
from writer.gateway.transport import StripeTransport
from writer.inbox import Inbox
from writer.intake import Intake
from writer.settings import DatabaseSettings, StripeSettings
from writer.sweep import assembly
from writer.sweep.sweep import Sweep

_MAX_RPS = 1_000


class _Follows:
    """The writer's clock, set by the town's."""

    def __init__(self, town: TownClock) -> None:
        self._town = town
        self._machine: Clock = SystemClock()

    def now(self) -> Instant:
        """The town's time."""
        return Instant(self._town.now() * SECOND)

    def monotonic(self) -> float:
        """The machine's."""
        return self._machine.monotonic()


class _Nobody:
    """The writers find by themselves what was stored."""

    def hand(self, object_id: str, *, awaited: bool = True) -> None:
        """Leave it to their polling."""

    def leave(self, event: Event) -> None:
        """Leave no trace."""

    async def check(self) -> None:
        """Nobody restores the database here."""

    async def stands_on(self, connection: object) -> bool:
        """Nobody does."""
        return True


class Sweeper:
    """Sweeps beside the writers, on the same lease and cursor. Use `open` and `sweep`."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep

    @classmethod
    async def open(cls, stack: AsyncExitStack, database_url: str, stripe_url: str, clock: TownClock) -> "Sweeper":
        """One that polls, as a laptop without a tunnel does: no event is too young for it."""
        settings = StripeSettings(Secret("sk_test_sandbox"), None, (), stripe_url, _MAX_RPS, poll=2.0)
        engine = create_engine(DatabaseSettings(Secret(database_url), None, 4, 30, 10, 30))
        stack.push_async_callback(engine.dispose)
        follows, nobody = _Follows(clock), _Nobody()
        transport = StripeTransport(settings, WindowLimiter(_MAX_RPS), follows)
        await stack.enter_async_context(transport)
        intake = Intake(Inbox(engine, "sweeper", claim=0.0), nobody, nobody, livemode=False)
        station = assembly.Station(engine, Transactions(engine, nobody), follows, CollectorRegistry(), "sweeper")
        return cls(assembly.sweep(station, transport, intake, settings))

    async def sweep(self) -> int:
        """Read the event list to its end; how many events were missing."""
        found = await self._sweep.once()
        if found is None:
            raise AssertionError("another writer holds the sweep's lease")
        return found
