"""Telemetry, put together out of what the composition root has built."""

from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from common import build
from common.background import Tasks
from common.redis_nodes import Nodes
from writer.auth import Authenticator
from writer.db.readings import Readings
from writer.event_counts import EventCounts
from writer.recompute import Recompute
from writer.telemetry.backups import BackupTimes
from writer.telemetry.process import ProcessMetrics
from writer.telemetry.projects import ProjectCounts
from writer.telemetry.redis import RedisStatistics
from writer.telemetry.requests import Requests


@dataclass(frozen=True, slots=True)
class Observed:
    """What is looked at."""

    registry: CollectorRegistry
    engine: AsyncEngine
    readings: Readings
    auth: Authenticator
    recompute: Recompute


def observe(observed: Observed, app: web.Application, redis: Nodes, background: Tasks) -> None:
    """Look at everything, from now on; the application has its middlewares."""
    registry = observed.registry
    build.tell("billing_build_info", registry)
    Requests(registry).observe(app)
    replica = observed.readings.replica
    engines = {"primary": observed.engine, **({} if replica is None else {"replica": replica})}
    ProcessMetrics(registry, observed.auth, observed.recompute, engines)
    background.start("event counts", EventCounts(observed.readings, registry).run)
    background.start("project counts", ProjectCounts(observed.readings, registry).run)
    background.start("redis statistics", RedisStatistics(redis, registry).run)
    background.start("backup times", BackupTimes(observed.readings, registry).run)
