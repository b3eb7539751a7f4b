"""The end: nothing goes wrong any more, and everything must be equal: Stripe, Postgres, Redis, every sidecar."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import asyncpg

from common import document as documents
from common.clock import parse_time
from common.identifiers import ProjectId, UserId
from common.position import Position
from sandbox.stripe.delivery import ACKNOWLEDGED, Deliveries
from sandbox.stripe.server import StripeStandIn
from tests.chaos import plant as plants
from tests.chaos.faults import Ground
from tests.chaos.plant import Beside, Plant
from tests.lives.compare import Held, differences
from tests.lives.goods import PROJECTS
from tests.lives.quiet import Quiet
from tests.lives.redis_copy import RedisCopy
from tests.support.waiting import eventually

PATIENCE_S: Final = 120.0
_SHOWN: Final = 10
_CRASHED: Final = "background task crashed"


class Acknowledged:
    """The events that a writer has answered with 2xx."""

    def __init__(self, deliveries: Deliveries) -> None:
        self.lost = 0
        """Those that a restore took, and that nobody has to bring back: what they told is at Stripe."""
        self._deliveries = deliveries
        self._events: set[str] = set()
        self._excused: set[str] = set()

    @property
    def events(self) -> set[str]:
        """All so far, by id. Ask now and then: the stand-in remembers only so many attempts."""
        self._events |= {one.event for one in self._deliveries.attempts if one.status in ACKNOWLEDGED}
        return self._events

    def may_be_lost(self) -> None:
        """An older database is about to take the place of the one that knows them."""
        self._excused |= self.events

    async def wrong(self, database: Any) -> list[str]:
        """Those that the database does not know, or that have come to no good end."""
        rows = {row["id"]: row for row in await database.fetch(_EVENTS)}
        missing = sorted(self.events - rows.keys())
        self.lost = sum(event in self._excused for event in missing)
        lost = [f"event lost: {event} was acknowledged" for event in missing if event not in self._excused]
        unfinished = [
            f"event {event} is {row['status']}: {row['last_error']}"
            for event, row in rows.items()
            if event in self._events and row["status"] not in {"applied", "superseded", "ignored"}
        ]
        return lost + unfinished


def crashes(folder: Path) -> list[str]:
    """What the processes' logs tell of tasks that met what nobody expected: they come back, but none should."""
    found: list[str] = []
    for log in sorted(folder.glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        found += [f"{log.stem}: {line}" for line in lines if _CRASHED in line]
    return found


async def ending(ground: Ground, standin: StripeStandIn, acknowledged: Acknowledged) -> list[str]:
    """Wait until everything was told, and name what is not as it must be."""
    async with asyncio.timeout(PATIENCE_S):
        await standin.deliveries.idle()
    database = await asyncpg.connect(ground.plant.database_url)
    redis = await ground.plant.client()
    try:
        await Quiet(database).wait()
        await eventually(ground.reader.look, PATIENCE_S)
        wrong = await acknowledged.wrong(database)
        copy = RedisCopy(redis, database)
        held = {}
        for project in PROJECTS:
            await copy.caught_up(project)
            held[project] = await ground.billing.held(project)
            wrong += [f"Redis: {one}" for one in await copy.differences(project, held[project])]
        wrong += [f"Stripe: {one}" for one in differences(ground.billing.oracle(), held, ground.billing.town.now)]
        for project in PROJECTS:
            head = ground.reader.commits[project].head
            wrong += await equal_sidecars(ground.plant, project, held[project], head, ground.billing.users)
    finally:
        await database.close()
        await redis.aclose()
    return wrong[:_SHOWN] + ([f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else [])


async def equal_sidecars(plant: Plant, project: str, held: Held, head: Position, users: Iterable[str]) -> list[str]:
    """Whose document a sidecar holds otherwise than Postgres, once all have come to the head."""
    wrong: list[str] = []
    for one in plant.sidecars:

        async def arrived(one: Beside = one) -> bool:
            status = await one.status(plant.http)
            return status is not None and plants.stands_at(status[project], head)

        await eventually(arrived, PATIENCE_S)
        for user in users:
            query = {"project_id": project, "user_id": user}
            async with plant.http.get(f"{one.url}/api/v1/entitlements", params=query) as response:
                answer = await response.json()
            document = held.documents.get(user) or _empty(project, user)
            rows = documents.entitlements_to_json(document.entitlements)
            if answer["entitlements"] != rows:
                wrong.append(f"{one.kind.name}: {user} of {project} holds {answer['entitlements']}, Postgres {rows}")
    return wrong


def _empty(project: str, user: str) -> documents.Document:
    return documents.Document(UserId(user), ProjectId(project), 0, 0, parse_time("2026-01-01T00:00:00Z"), ())


_EVENTS: Final = "SELECT id, status, last_error FROM webhook_events"
