"""Two servers over one sidecar's state, one with the fast lane and one without, fed the same bytes."""

import asyncio
import re
from dataclasses import replace
from random import Random
from typing import Any, Final, cast

from aiohttp import web

from common.catalogue import Feature, Kind, OnStale
from common.clock import SECOND, Instant
from common.connection import Connection, ConnectionServer
from common.document import Document, Entitlement
from common.document import Source as Origin
from common.identifiers import ProjectId, UserId
from sidecar.answering import Answerer
from sidecar.api import Api
from sidecar.asking import Asker
from sidecar.check_counts import CheckCounts
from sidecar.fast_connection import FastServer
from sidecar.fast_lane import FastLane
from sidecar.freshness import StalePolicy
from sidecar.metrics import Metrics
from sidecar.project import Project
from sidecar.replica import Copy
from sidecar.shadow import Shadow
from sidecar.sources import Source
from tests.contract.lanes.streams import ASKED, HOT, USERS
from tests.support.history import PROJECT, START, History, feature, grant

_DATE: Final = re.compile(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n")
_MOMENT: Final = 20
"""Turns of the loop after which a connection that does nothing is done."""


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self._set_by = 0.0

    def now(self) -> Instant:
        """Wall time."""
        return Instant(START + round((self.seconds + self._set_by) * SECOND))

    def move(self, rng: Random) -> None:
        """Let some time pass; now and then somebody sets the wall clock."""
        self.seconds += rng.choice((0, 0.0004, 0.05, 0.3, 0.3, 0.3, 1.1)) if rng.random() < 0.95 else 4.0
        if rng.random() < 0.03:
            self._set_by = rng.choice((-1.5, -0.5, 0.0, 0.5))

    def monotonic(self) -> float:
        """Seconds."""
        return self.seconds


class _SlowWriter:
    async def document(self, project: ProjectId, user: UserId) -> Document:
        for _ in range(_MOMENT // 4):
            await asyncio.sleep(0)
        return Document(user, project, 1, 1, START, (grant(),))


class _Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += data

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Nothing is sent by itself here."""

    def resume_reading(self) -> None:
        """Nothing is sent by itself here."""


class _CountedLane(FastLane):
    answered = 0

    def answer(self, data: bytes) -> bytes | None:
        given = super().answer(data)
        self.answered += given is not None
        return given


class Lane:
    """One server, and what was counted by it."""

    def __init__(self, sidecar: "SidecarState", *, fast: bool) -> None:
        self.counts = CheckCounts()
        self._sidecar = sidecar
        self._lane = _CountedLane(sidecar.projects, self.counts, sidecar.clock) if fast else None
        self._server: ConnectionServer | None = None
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Make the server."""
        runner = web.AppRunner(
            Api(self._sidecar.answerer, self.counts, Shadow(self._sidecar.clock)).application(), access_log=None
        )
        await runner.setup()
        self._runner = runner
        made = cast("web.Server", runner.server)
        connections = ConnectionServer.instead_of if self._lane is None else FastServer.with_lane(self._lane)
        self._server = connections(made)

    @property
    def fast_answers(self) -> int:
        """Requests that the fast lane answered."""
        return 0 if self._lane is None else self._lane.answered

    async def close(self) -> None:
        """Take it down."""
        if self._runner is not None:
            await self._runner.cleanup()

    def connect(self) -> "Client":
        """A connection."""
        assert self._server is not None
        return Client(self._server())


class Client:
    """One connection to a lane."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport = _Transport()
        connection.connection_made(self._transport)

    def send(self, data: bytes) -> None:
        """Bytes come in, unless the server has closed."""
        if not self._transport.closed:
            self._connection.data_received(data)

    @property
    def state(self) -> tuple[int, bool, bool]:
        """What has become of it: bytes written, closed, waiting for a request."""
        return len(self._transport.written), self._transport.closed, self._connection._waiter is not None

    def end(self) -> tuple[bytes, bool]:
        """All that was answered, dates aside, and whether the server closed."""
        closed = self._transport.closed
        self._transport.closed = True
        self._connection.connection_lost(None)
        return _DATE.sub(b"Date: then\r\n", bytes(self._transport.written)), closed


class SidecarState:
    """What both lanes answer from."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.history = _history()
        policy = StalePolicy(stale_after=2.0, max_stale=8.0)
        self.projects = {name: Project(name, policy) for name in (PROJECT, ProjectId(ASKED))}
        self.answerer = Answerer(self.projects, Asker(_SlowWriter(), Metrics(), self.clock), self.clock)
        for name, project in self.projects.items():
            copy = Copy(name, self.history.catalogue, self.history.position)
            for document in self.history.documents.values():
                copy.hold(document)
            if name == PROJECT:
                copy.compare(self.history.position, self.history.count, self.history.digest)
            project.install(copy, Source.REDIS, self.clock.seconds, self.clock.seconds)

    def happen(self, rng: Random) -> None:
        """Something that may change answers: time passes, a document or the catalogue changes, or nothing."""
        project, history = self.projects[PROJECT], self.history
        chosen = rng.random()
        self.clock.move(rng)
        if chosen < 0.06:
            user, feature_code = rng.choice(HOT)
            project.apply(history.change(user, *self._rows(feature_code, rng)))
        elif chosen < 0.09:
            project.apply(history.edit(*_features(lifted=rng.random() < 0.5)))
        if rng.random() < 0.7:
            for one in self.projects.values():
                one.freshness.confirmed(self.clock.seconds)

    def _rows(self, feature_code: str, rng: Random) -> list[Entitlement]:
        """Some rows of a feature that begin and end around now, at the same moment from several sources too."""
        now = self.clock.now()
        moments = (now - SECOND, now, now + 300_000, now + SECOND, now + 3 * SECOND)
        return [
            replace(
                grant(feature_code, 4 if feature_code == "seats" else None, rng.choice(moments[:4])),
                valid_to=Instant(rng.choice(moments)) if rng.random() < 0.8 else None,
                source=rng.choice(list(Origin)),
            )
            for _ in range(rng.randrange(4))
        ]


async def quiet(*clients: Client) -> None:
    """Wait until nothing goes on on any connection but waiting for more bytes."""
    still, states = 0, [client.state for client in clients]
    while still < _MOMENT:
        await asyncio.sleep(0)
        before, states = states, [client.state for client in clients]
        still = still + 1 if states == before else 0


def _features(*, lifted: bool = False) -> tuple[Feature, ...]:
    configured = {"colour": 'bl"ue', "epoch": 2, "user_id": "x"}
    return (
        feature("pro", on_stale=OnStale.DENY),
        feature("free", default=True, on_stale=OnStale.ALLOW),
        feature("seats", Kind.LIMIT),
        feature("theme", Kind.CONFIG, default=configured if lifted else None),
        feature("old"),
        feature("soon"),
        feature("none"),
        feature("limits", Kind.LIMIT, default=3 if lifted else None),
    )


def _history() -> History:
    history = History(features=_features())
    now = START + 100 * SECOND
    history.change("ann", grant(), grant("seats", 5), grant("theme", {"reason": 'r","epoch":7', "n": [1]}))
    history.change(
        "bob", grant("seats", "unlimited"), grant("old", valid_to=now - SECOND), grant("soon", valid_from=now + SECOND)
    )
    history.change(
        "cyd",
        grant("pro", valid_to=now + 2 * SECOND),
        grant("pro", valid_to=now + SECOND),
        grant("pro", valid_from=now + 9 * SECOND),
    )
    history.change("dan", grant("seats", 0), grant("limits", 2), grant("none", valid_to=now))
    for user in USERS[4:]:
        if user != "nobody":
            history.change(user, grant(ref=f"sub_{len(user)}"), grant("theme", user))
    return history
