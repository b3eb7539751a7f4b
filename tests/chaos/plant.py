"""The plant: real servers, writers behind a balancer, three sidecars, and a link between each two that speak."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
from redis.asyncio import Redis

from common.position import Position
from sandbox.binaries import find_postgres
from sandbox.ports import free_port
from sandbox.postgres import PostgresConfig, PostgresServer
from sandbox.redis import RedisConfig, RedisServer
from sandbox.service import Service, ServiceConfig
from tests.chaos.balancer import Balancer
from tests.chaos.link import HOST, Link, to
from tests.lives.courier import SECRET
from tests.lives.goods import PROJECTS
from tests.lives.writer_api import ADMIN_KEY
from tests.support.postgres import migrate

START_S: Final = 90.0
STALE_AFTER_S: Final = 5.0
"""The sidecars' setting, which is its default: from this age on an answer says that it is stale."""


@dataclass(frozen=True, slots=True)
class SidecarKind:
    """What a sidecar reaches, and whether it keeps a copy on disk."""

    name: str
    redis: bool = True
    writer: bool = True
    disk: bool = False


SIDECARS: Final = (
    SidecarKind("disk", disk=True),
    SidecarKind("redis-only", writer=False),
    SidecarKind("both"),
)


@dataclass(slots=True)
class Beside:
    """One sidecar, and how it is reached."""

    kind: SidecarKind
    service: Service
    url: str
    management: str
    starts: int = 0
    """How often it was started: which process gave an answer."""
    paused: bool = False
    down: bool = False
    """It is being killed, or dead: its port closes a moment before the system says that it has ended."""
    disturbed: float = 0.0
    """Monotonic seconds at which it was last killed, paused, or set going again."""

    async def status(self, http: aiohttp.ClientSession) -> dict[str, dict[str, Any]] | None:
        """Its projects' part of `/status`; None where it does not answer."""
        try:
            async with http.get(f"{self.management}/status", timeout=_PROBE) as answer:
                projects: dict[str, dict[str, Any]] = (await answer.json())["projects"]
                return projects
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


_PROBE: Final = aiohttp.ClientTimeout(total=2.0)


@dataclass(slots=True)
class Plant:
    """Everything that runs; `links` by name, such as `writer-1 to redis` and `disk to writer`."""

    folder: Path
    postgres: PostgresServer
    redis: RedisServer
    balancer: Balancer
    writers: list[Service]
    http: aiohttp.ClientSession
    sidecars: list[Beside] = field(default_factory=list)
    links: dict[str, Link] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        """Postgres itself, past all links."""
        return self.postgres.url

    def links_of(self, group: str) -> list[Link]:
        """Those of a group, such as `sidecar to redis`."""
        who, _, whom = group.partition(" to ")
        named = {"writer": [w.config.name for w in self.writers], "sidecar": [s.kind.name for s in self.sidecars]}[who]
        return [link for name, link in self.links.items() if name in {f"{one} to {whom}" for one in named}]

    async def client(self) -> "Redis":
        """A client of Redis itself, past all links; close it."""
        return Redis.from_url(self.redis.url)

    def run(self, program: str, *arguments: str) -> None:
        """One of Postgres's own programs, such as psql, on the database."""
        subprocess.run(
            [find_postgres().postgres.with_name(program), *arguments, self.database_url],
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PGOPTIONS": "--client-min-messages=warning"},
        )

    async def new_database(self) -> None:
        """An empty one under the same name; whoever is connected to the old one is sent away."""
        name = self.postgres.config.database
        connection = await asyncpg.connect(self.postgres.url_of("postgres"))
        try:
            await connection.execute(_SEND_AWAY, name)
            await connection.execute(f'DROP DATABASE "{name}"')
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()

    async def holder(self) -> Service | None:
        """The writer that relays the first project; None where nobody does."""
        owner = await self.owner()
        return next((w for w in self.writers if owner is not None and owner.startswith(f"{w.config.name}:")), None)

    async def owner(self) -> str | None:
        """The name of the lease's holder."""
        connection = await asyncpg.connect(self.database_url)
        try:
            owner: str | None = await connection.fetchval(_OWNER, PROJECTS[0])
        finally:
            await connection.close()
        return owner


@dataclass(frozen=True, slots=True)
class PlantConfig:
    """How many writers, where logs and copies go, where Stripe is."""

    folder: Path
    stripe_url: str
    writers: int = 2
    balancer: int | None = None
    """The port of the load balancer; None: a free one."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the writers, beyond what they need."""


@asynccontextmanager
async def running(config: PlantConfig) -> AsyncIterator[Plant]:
    """Servers and writers; `add_sidecars` follows once there are keys. Nothing is left afterwards."""
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(
            # Safe against a kill, which the page cache outlives, and not against the loss of power.
            PostgresServer(PostgresConfig(settings={"fsync": "off"}, log_path=config.folder / "postgres.log"))
        )
        redis = await stack.enter_async_context(RedisServer(RedisConfig(log_path=config.folder / "redis.log")))
        await asyncio.to_thread(migrate, postgres.url)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        ports = [free_port() for _ in range(config.writers)]
        balancer = Balancer("balancer", ports, config.balancer)
        plant = Plant(config.folder, postgres, redis, balancer, [], http)
        stack.push_async_callback(_close, plant)
        await balancer.start()
        for number, port in enumerate(ports, 1):
            plant.writers.append(await _writer(plant, config, f"writer-{number}", port))
        await asyncio.gather(*(writer.start() for writer in plant.writers))
        yield plant


async def add_sidecars(plant: Plant, keys: Mapping[str, str], kinds: Sequence[SidecarKind] = SIDECARS) -> None:
    """Start them, each with the projects' keys."""
    for kind in kinds:
        plant.sidecars.append(await _sidecar(plant, kind, keys))
    await asyncio.gather(*(start(one) for one in plant.sidecars))


def stands_at(standing: Mapping[str, Any], head: Position, since: float | None = None) -> bool:
    """Whether a sidecar's copy is at the head or beyond, complete, and was found so after `since` (monotonic)."""
    if not standing["synced"] or standing["stale"] or not standing["complete"]:
        return False
    if since is not None and standing["age_ms"] / 1000 > time.monotonic() - since:
        return False
    return Position(standing["epoch"], standing["revision"]) >= head


async def start(sidecar: Beside) -> None:
    """Start one, or start it again, and wait until it is ready."""
    sidecar.starts += 1
    await sidecar.service.start()


async def _link(plant: Plant, name: str, port: int) -> Link:
    link = plant.links[name] = Link(name, to(port))
    await link.start()
    return link


async def _writer(plant: Plant, config: PlantConfig, name: str, port: int) -> Service:
    database = await _link(plant, f"{name} to postgres", plant.postgres.port)
    redis = await _link(plant, f"{name} to redis", plant.redis.port)
    settings = {
        "WRITER_LISTEN": f"{HOST}:{port}",
        "WRITER_INSTANCE": name,
        "DATABASE_URL": plant.database_url.replace(f":{plant.postgres.port}/", f":{database.port}/"),
        "REDIS_URL": f"redis://{HOST}:{redis.port}/0",
        "STRIPE_SECRET_KEY": "sk_test_sandbox",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_BASE": config.stripe_url,
        "STRIPE_MAX_RPS": "100",
        "ADMIN_API_KEY": ADMIN_KEY,
        "EVENT_CLAIM": "2s",
        "STRIPE_SWEEP_EVERY": "30s",
        **config.settings,
    }
    log = config.folder / f"{name}.log"
    ready = f"http://{HOST}:{port}/ready"
    return Service(ServiceConfig(name, "writer", log, ready, env=settings, start_timeout_s=START_S))


async def _sidecar(plant: Plant, kind: SidecarKind, keys: Mapping[str, str]) -> Beside:
    ports = free_port(), free_port()
    settings = {
        "SIDECAR_PROJECT": ",".join(keys),
        "SIDECAR_INSTANCE": kind.name,
        "SIDECAR_LISTEN": f"{HOST}:{ports[0]}",
        "SIDECAR_MANAGEMENT_LISTEN": f"{HOST}:{ports[1]}",
        "SIDECAR_STALE_AFTER": f"{STALE_AFTER_S:g}s",
    }
    if kind.redis:
        link = await _link(plant, f"{kind.name} to redis", plant.redis.port)
        settings["REDIS_URL"] = f"redis://{HOST}:{link.port}/0"
    if kind.writer:
        link = await _link(plant, f"{kind.name} to writer", plant.balancer.link.port)
        settings |= {"WRITER_URL": f"http://{HOST}:{link.port}", "SIDECAR_API_KEY": ",".join(keys.values())}
    if kind.disk:
        shutil.rmtree(plant.folder / kind.name, ignore_errors=True)  # of another plant
        settings |= {"SIDECAR_SNAPSHOT_DIR": str(plant.folder / kind.name), "SIDECAR_SNAPSHOT_EVERY": "1s"}
    urls = [f"http://{HOST}:{port}" for port in ports]
    log = plant.folder / f"sidecar-{kind.name}.log"
    config = ServiceConfig(kind.name, "sidecar", log, f"{urls[1]}/ready", env=settings, start_timeout_s=START_S)
    return Beside(kind, Service(config), urls[0], urls[1])


async def _close(plant: Plant) -> None:
    """What asks is ended before what is asked."""
    for link in plant.links.values():
        await link.start()
        link.open()
    for services in ([one.service for one in plant.sidecars], plant.writers):
        await asyncio.gather(*(service.close() for service in services), return_exceptions=True)
    await plant.balancer.close()
    await asyncio.gather(*(link.close() for link in plant.links.values()))


_SEND_AWAY: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = $1 AND usename = current_user AND pid <> pg_backend_pid()
"""

_OWNER: Final = """
SELECT l.owner FROM relay_leases l JOIN projects p ON p.id = l.project_id
WHERE p.public_id = $1 AND l.expires_at > clock_timestamp()
"""
