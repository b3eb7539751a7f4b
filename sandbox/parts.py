"""How each part of the stack is run: its port, its log, its settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from sandbox.keyring import STRIPE_KEY, Keyring
from sandbox.ports import free_port
from sandbox.postgres import PostgresConfig, PostgresServer
from sandbox.processes import ProcessConfig
from sandbox.redis import RedisConfig, RedisServer
from sandbox.service import ROOT, Service, ServiceConfig, environment, module_command

STRIPE_MAX_RPS: Final = "100"  # the stand-in has no limit to respect, and a hundred purchases should not queue

LOG_FORMAT: Final = "text"  # people read these logs
EVENT_CLAIM: Final = "2s"  # a killed writer comes back in a second here, and should find its work


@dataclass(frozen=True, slots=True)
class Blueprint:
    """The parts of one stack. Ports are those of the last run where its data is kept and they are free."""

    logs: Path
    data: Path | None
    keyring: Keyring
    retry_scale: float
    stale_after: str
    writer_settings: Mapping[str, str] = field(default_factory=dict)
    """Of each writer, over what it would be told."""
    _ports: dict[str, int] = field(default_factory=dict)

    def port(self, name: str) -> int:
        """The port that a name listens on."""
        if name not in self._ports:
            kept = self._kept_ports()
            self._ports[name] = free_port(kept.get(name))
            if self.data is not None:
                self.data.mkdir(parents=True, exist_ok=True)
                (self.data / "ports.json").write_bytes(orjson.dumps(kept | self._ports))
        return self._ports[name]

    def url(self, name: str) -> str:
        """Where a name answers."""
        return f"http://127.0.0.1:{self.port(name)}"

    def postgres(self) -> PostgresServer:
        """The database: safe against a crash of the stack, not of the machine, where its data is thrown away."""
        return PostgresServer(
            PostgresConfig(
                data_dir=None if self.data is None else self.data / "postgres",
                durable=self.data is not None,
                port=self.port("postgres"),
                log_path=self._log("postgres"),
            )
        )

    def redis(self) -> RedisServer:
        """Redis, empty at every start."""
        return RedisServer(RedisConfig(port=self.port("redis"), log_path=self._log("redis")))

    def stripe(self) -> Service:
        """Stripe's stand-in."""
        arguments = [
            *("--port", str(self.port("stripe"))),
            *("--webhook-url", f"{self.url('writer')}/api/v1/webhooks/stripe"),
            *("--webhook-secret", self.keyring.webhook),
            *("--api-key", STRIPE_KEY),
            *("--retry-scale", str(self.retry_scale)),
        ]
        if self.data is not None:
            arguments += ["--state", str(self.data / "stripe.json")]
        ready = f"{self.url('stripe')}/_sandbox/clock"
        return Service(ServiceConfig("stripe", "sandbox.stripe", self._log("stripe"), ready, tuple(arguments)))

    def migration(self, database_url: str) -> ProcessConfig:
        """`alembic upgrade head`."""
        return ProcessConfig(
            name="migration",
            argv=module_command("alembic", "upgrade", "head"),
            log_path=self._log("migration"),
            env=environment({"DATABASE_URL": database_url}),
            cwd=ROOT,
        )

    def writer(self, name: str, database_url: str, redis_url: str) -> Service:
        """One writer."""
        settings = {
            "WRITER_LISTEN": f"127.0.0.1:{self.port(name)}",
            "WRITER_INSTANCE": name,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_WEBHOOK_SECRET": self.keyring.webhook,
            "STRIPE_API_BASE": self.url("stripe"),
            "STRIPE_MAX_RPS": STRIPE_MAX_RPS,
            "ADMIN_API_KEY": self.keyring.admin,
            "EVENT_CLAIM": EVENT_CLAIM,
            "LOG_FORMAT": LOG_FORMAT,
            **self.writer_settings,
        }
        return Service(ServiceConfig(name, "writer", self._log(name), f"{self.url(name)}/ready", env=settings))

    def sidecar(self, name: str, project: str, keyring: Keyring, redis_url: str) -> Service:
        """The sidecar of one project."""
        settings = {
            "SIDECAR_PROJECT": project,
            "SIDECAR_API_KEY": keyring.projects[project],
            "SIDECAR_INSTANCE": name,
            "SIDECAR_LISTEN": f"127.0.0.1:{self.port(name)}",
            "SIDECAR_MANAGEMENT_LISTEN": f"127.0.0.1:{self.port(f'{name}-management')}",
            "SIDECAR_STALE_AFTER": self.stale_after,
            "WRITER_URL": self.url("writer"),
            "REDIS_URL": redis_url,
            "LOG_FORMAT": LOG_FORMAT,
        }
        ready = f"{self.url(f'{name}-management')}/ready"
        return Service(ServiceConfig(name, "sidecar", self._log(name), ready, env=settings))

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _kept_ports(self) -> dict[str, int]:
        path = None if self.data is None else self.data / "ports.json"
        if path is None or not path.exists():
            return {}
        kept: dict[str, int] = orjson.loads(path.read_bytes())
        return kept
