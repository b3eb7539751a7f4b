"""The whole local stack: Postgres, Redis, Stripe's stand-in, writers and a sidecar for each of two apps.

Every part is a process that dies with this one. Parts have names (`redis`, `writer`, `sidecar-notes`, …) by which
they are killed and started again, on the same ports.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self

import aiohttp

from sandbox.clients import TIMEOUT, Endpoint, Sidecar, Stripe, Writer
from sandbox.keyring import STRIPE_KEY, Keyring
from sandbox.parts import Blueprint
from sandbox.postgres import PostgresServer
from sandbox.processes import ChildProcess, ProcessError
from sandbox.redis import RedisServer
from sandbox.seed import Prices, SeedError, seed_stripe, seed_writer, until_sold
from sandbox.service import Service
from sandbox.shop import APPS, App

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StackConfig:
    """How to run it. `logs`: where each part's log goes. `data`: kept there over a restart; None throws it away.

    `retry_scale` shortens Stripe's waits between webhook attempts, `stale_after` is the sidecars' setting,
    `writer_settings` are the writers' over what they would be told.
    """

    logs: Path
    data: Path | None = None
    writers: int = 1
    retry_scale: float = 1 / 3000
    stale_after: str = "5s"
    writer_settings: Mapping[str, str] = field(default_factory=dict)


class Part(Protocol):
    """A server of the stack."""

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        ...

    async def start(self) -> None:
        """Start it where it was, and wait until it is ready."""
        ...

    async def stop(self) -> None:
        """End it in order."""
        ...

    async def kill(self) -> None:
        """SIGKILL."""
        ...

    async def close(self) -> None:
        """Stop it and remove what it left for itself."""
        ...


@dataclass(frozen=True, slots=True)
class RunningApp:
    """One app of the stack with everything it talks to."""

    app: App
    prices: Prices
    key: str
    writer: Writer
    sidecar: Sidecar


class Stack:
    """`async with Stack(config) as stack`: everything runs and is filled; afterwards nothing is left."""

    def __init__(self, config: StackConfig, progress: Progress | None = None) -> None:
        self.config = config
        self.parts: dict[str, Part] = {}
        self.apps: dict[str, RunningApp] = {}
        self.keyring = Keyring.load(self._kept("keys.json"))
        self.blueprint = Blueprint(
            config.logs, config.data, self.keyring, config.retry_scale, config.stale_after, config.writer_settings
        )
        self._progress = progress or (lambda _: None)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:  # also when interrupted half-way
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    @property
    def postgres(self) -> PostgresServer:
        """The database server."""
        part = self.parts["postgres"]
        if not isinstance(part, PostgresServer):
            raise ProcessError("postgres was not started")
        return part

    @property
    def redis(self) -> RedisServer:
        """The Redis server."""
        part = self.parts["redis"]
        if not isinstance(part, RedisServer):
            raise ProcessError("redis was not started")
        return part

    @property
    def writer_url(self) -> str:
        """The first writer."""
        return self.blueprint.url("writer")

    @property
    def stripe_url(self) -> str:
        """The stand-in."""
        return self.blueprint.url("stripe")

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session that all clients share."""
        if self._session is None:
            raise ProcessError("the stack is not running")
        return self._session

    @property
    def stripe(self) -> Stripe:
        """Stripe's API with the account's key."""
        return Stripe(Endpoint(self.session, self.stripe_url, STRIPE_KEY))

    @property
    def admin(self) -> Endpoint:
        """The writer with the admin key."""
        return Endpoint(self.session, self.writer_url, self.keyring.admin)

    async def kill(self, *names: str) -> None:
        """SIGKILL these parts, all at once."""
        await together(*(self.parts[name].kill() for name in names if self.parts[name].running))

    async def restart(self, *names: str) -> None:
        """Start these parts again where they were."""
        await together(*(self.parts[name].start() for name in names if not self.parts[name].running))

    async def _start(self) -> None:
        self._forget_logs()
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        self._build("postgres", self.blueprint.postgres())
        self._build("redis", self.blueprint.redis())
        self._build("stripe", self.blueprint.stripe())
        await together(self._migrated(), self._up("redis"), self._up("stripe"))
        writers = ["writer", *(f"writer-{number}" for number in range(2, self.config.writers + 1))]
        for name in writers:
            self._build(name, self.blueprint.writer(name, self.postgres.url, self.redis.url))
        await together(*(self._up(name) for name in writers))
        prices = await self._seed()
        for app in APPS:
            name = f"sidecar-{app.project}"
            self._build(name, self.blueprint.sidecar(name, app.project, self.keyring, self.redis.url))
            self.apps[app.project] = self._running(app, prices[app.project])
        await together(*(self._up(f"sidecar-{app.project}") for app in APPS))
        async with self._timed("both sidecars in step with the writer"):
            await together(*(_in_step(running.sidecar) for running in self.apps.values()))

    async def _migrated(self) -> None:
        await self._up("postgres")
        async with self._timed("the schema"):
            migration = ChildProcess(self.blueprint.migration(self.postgres.url))
            async with migration:
                if code := await migration.wait():
                    raise ProcessError(f"the migration ended with status {code}:\n{migration.log_tail()}")

    async def _seed(self) -> dict[str, Prices]:
        async with self._timed("two apps, their catalogues, products and prices"):
            prices = {}
            for app in APPS:
                prices[app.project] = await seed_stripe(self.stripe, app)
                self.keyring = await seed_writer(self.admin, app, self.keyring)
            self.keyring.save(self._kept("keys.json"))
            await together(*(until_sold(self.admin, app, prices[app.project]) for app in APPS))
            return prices

    def _running(self, app: App, prices: Prices) -> RunningApp:
        key, name = self.keyring.projects[app.project], f"sidecar-{app.project}"
        return RunningApp(
            app,
            prices,
            key,
            Writer(Endpoint(self.session, self.writer_url, key), app.project),
            Sidecar(
                Endpoint(self.session, self.blueprint.url(name)),
                Endpoint(self.session, self.blueprint.url(f"{name}-management")),
                app.project,
            ),
        )

    def _build(self, name: str, part: PostgresServer | RedisServer | Service) -> None:
        self.parts[name] = part

    async def _up(self, name: str) -> None:
        async with self._timed(name):
            await self.parts[name].start()

    @contextlib.asynccontextmanager
    async def _timed(self, what: str) -> AsyncIterator[None]:
        began = time.monotonic()
        yield
        self._progress(f"{what} ({time.monotonic() - began:.1f} s)")

    async def _close(self) -> None:
        """What asks is closed before what is asked, so that no log ends in a false alarm."""
        try:
            for names in _closing_order(list(self.parts)):
                done = await asyncio.gather(*(self.parts[name].close() for name in names), return_exceptions=True)
                for error in done:
                    if isinstance(error, BaseException):
                        self._progress(f"while ending: {error}")
        finally:
            if self._session is not None:
                await self._session.close()

    def _kept(self, name: str) -> Path | None:
        return None if self.config.data is None else self.config.data / name

    def _forget_logs(self) -> None:
        self.config.logs.mkdir(parents=True, exist_ok=True)
        for log in self.config.logs.glob("*.log"):
            log.unlink(missing_ok=True)


IN_STEP_S: Final = 15.0
POLL_S: Final = 0.02
ORDER: Final = (("sidecar",), ("writer", "stripe"), ("redis", "postgres"))


async def _in_step(sidecar: Sidecar) -> None:
    """Wait until a heartbeat has confirmed its copy; it answers before that, and calls its answers stale."""
    try:
        async with asyncio.timeout(IN_STEP_S):
            while (standing := await sidecar.standing())["stale"] or not standing["complete"]:  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise SeedError(f"the sidecar of {sidecar.project} is not in step after {IN_STEP_S:g} s: {standing}") from error


def _closing_order(names: list[str]) -> list[list[str]]:
    return [[name for name in names if name.startswith(group)] for group in ORDER]


async def together(*work: Coroutine[Any, Any, object]) -> None:
    """Run all at once; the first failure ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
