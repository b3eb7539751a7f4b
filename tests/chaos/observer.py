"""The observer: asks all sidecars all the time, and holds every answer beside what Postgres held."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import aiohttp
import orjson

from common.clock import SECOND, Instant
from common.decision import Decision, decide
from common.identifiers import FeatureCode
from common.position import Position
from tests.chaos.commits import Commits, Lineage
from tests.chaos.plant import STALE_AFTER_S, Beside

SLOW_S: Final = 1.0
_PAUSE_S: Final = 0.01
_GIVEN_UP: Final = aiohttp.ClientTimeout(total=60.0)
_JUDGED_EVERY_S: Final = 0.25
_AFTER_S: Final = 0.5
"""Answers are judged once the reader must have seen what they name."""
_UNKNOWN_S: Final = 30.0
"""For how long a position may stay unknown to the reader, which loses the database as everybody does."""

Question = tuple[str, str, str]
"""Project, user, feature."""


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: from whom, when it was asked for and here (monotonic and wall), and what it says."""

    sidecar: str
    start: int
    asked: float
    here: float
    wall: tuple[float, float]
    answer: dict[str, Any]

    @property
    def position(self) -> Position:
        """Which revision it says that it is the truth of."""
        return Position(self.answer["epoch"], self.answer["revision"])

    def __str__(self) -> str:
        """For people."""
        return f"{self.sidecar} (start {self.start}) answered {orjson.dumps(self.answer).decode()}"


@dataclass(slots=True)
class Observed:
    """What came of observing."""

    asked: int = 0
    checked: int = 0
    stale: int = 0
    """Answers that said so."""
    unsure: int = 0
    """Stale denials for users whom a copy that was not proven complete lacked."""
    slow: int = 0
    """Later than a second, from a process that was neither paused nor just set going."""
    excused: int = 0
    """No answer, because the process was dead."""
    not_ready: int = 0
    """No answer yet, from a process that was just started and had nothing to load from."""
    slowest: float = 0.0
    longest_fresh: float = 0.0
    """Seconds: the oldest truth that was called fresh."""
    longest: float = 0.0
    understated: float = 0.0
    """Seconds: by how much an age was too small at most."""
    beyond: float = 0.0
    """The same, less what a fault may have held messages back for."""
    violations: list[str] = field(default_factory=list)
    staleness: dict[str, float] = field(default_factory=dict)
    """The longest by what went wrong at the time."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Violations by kind."""

    def wrong(self, kind: str, what: str) -> None:
        """Note a violation."""
        self.kinds[kind] += 1
        if self.kinds[kind] <= 10:
            self.violations.append(f"{kind}: {what}")


class Observer:
    """Asks `sidecars` what `question` draws, on so many connections each."""

    def __init__(
        self,
        sidecars: Sequence[Beside],
        commits: dict[str, Commits],
        question: Callable[[Random], Question],
        rng: Random,
        age_slack: float,
    ) -> None:
        """`age_slack`: by how many seconds an age may be understated beyond what faults hold messages back."""
        self.seen = Observed()
        self.going_wrong = "nothing"
        """What is going wrong now."""
        self.held_back = 0.0
        """Seconds for which faults may have held messages back; an age may be understated by as much."""
        self._sidecars = sidecars
        self._commits = commits
        self._question = question
        self._rng = rng
        self._age_slack = age_slack
        self._waiting: deque[tuple[Told, str, float]] = deque()
        self._fresh: set[tuple[str, int]] = set()
        self._ready: set[tuple[str, int, str]] = set()

    async def run(self, connections: int = 2) -> None:
        """Ask and judge until cancelled."""
        async with (
            aiohttp.ClientSession(timeout=_GIVEN_UP, connector=aiohttp.TCPConnector(limit=0)) as http,
            asyncio.TaskGroup() as group,
        ):
            for sidecar in self._sidecars:
                for _ in range(connections):
                    group.create_task(self._ask_on(http, sidecar))
            group.create_task(self._judge_on())

    def finish(self) -> None:
        """Judge what is left; what is unknown by now is wrong."""
        self._judge(time.monotonic() + _UNKNOWN_S + _AFTER_S)

    async def _ask_on(self, http: aiohttp.ClientSession, sidecar: Beside) -> None:
        while True:
            await self._ask(http, sidecar)
            await asyncio.sleep(_PAUSE_S)

    async def _ask(self, http: aiohttp.ClientSession, sidecar: Beside) -> None:
        project, user, feature = self._question(self._rng)
        query = {"project_id": project, "user_id": user, "feature": feature}
        start, asked, wall = sidecar.starts, time.monotonic(), time.time()
        self.seen.asked += 1
        try:
            async with http.get(f"{sidecar.url}/api/v1/check", params=query) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._unanswered(sidecar, start, asked, project, repr(error))
            return
        here = time.monotonic()
        self._note_slowness(sidecar, asked, here)
        if status != 200:
            self._refused(sidecar, start, project, f"{status} {body.decode()}")
            return
        self._ready.add((sidecar.kind.name, start, project))
        told = Told(sidecar.kind.name, start, asked, here, (wall, time.time()), orjson.loads(body))
        self._waiting.append((told, self.going_wrong, self.held_back))

    def _unanswered(self, sidecar: Beside, start: int, asked: float, project: str, error: str) -> None:
        if sidecar.down or sidecar.disturbed >= asked or not sidecar.service.running or sidecar.starts != start:
            self.seen.excused += 1
        elif (sidecar.kind.name, start, project) not in self._ready:
            self.seen.not_ready += 1
        else:
            self.seen.wrong("unanswered", f"{sidecar.kind.name} (start {start}): {error} while {self.going_wrong}")

    def _refused(self, sidecar: Beside, start: int, project: str, what: str) -> None:
        if (sidecar.kind.name, start, project) in self._ready or "not_synced" not in what:
            self.seen.wrong("unanswered", f"{sidecar.kind.name} (start {start}): {what} while {self.going_wrong}")
        else:
            self.seen.not_ready += 1

    def _note_slowness(self, sidecar: Beside, asked: float, here: float) -> None:
        if sidecar.disturbed < asked and not sidecar.paused:
            self.seen.slowest = max(self.seen.slowest, here - asked)
            self.seen.slow += here - asked > SLOW_S

    async def _judge_on(self) -> None:
        while True:
            await asyncio.sleep(_JUDGED_EVERY_S)
            self._judge(time.monotonic())

    def _judge(self, now: float) -> None:
        later: list[tuple[Told, str, float]] = []
        while self._waiting and self._waiting[0][0].here < now - _AFTER_S:
            told, fault, held_back = self._waiting.popleft()
            lineage = self._commits[told.answer["project_id"]].known(told.position)
            if lineage is not None:
                self._compare(told, lineage, fault, held_back)
            elif told.here < now - _UNKNOWN_S:
                self.seen.wrong("unknown revision", f"{told}; Postgres held no such revision; while {fault}")
            else:
                later.append((told, fault, held_back))
        self._waiting.extendleft(reversed(later))

    def _compare(self, told: Told, lineage: Lineage, fault: str, held_back: float) -> None:
        self.seen.checked += 1
        if not _true(told, lineage, told.position.revision):
            if told.answer["stale"] and not told.answer["allowed"]:
                self.seen.unsure += 1
            else:
                rows = lineage.rows(told.answer["user_id"], told.position.revision)
                self.seen.wrong("untrue", f"{told} while {fault}; Postgres held {rows} there")
        self._compare_age(told, lineage, fault, held_back)

    def _from_the_writer(self, told: Told) -> bool:
        """Whether it looks like the writer's own word for a user whom the copy lacked, and is true now."""
        commits = self._commits[told.answer["project_id"]]
        lineage = commits.lineage(commits.head.epoch)
        return told.answer["age_ms"] == 0 and lineage is not None and _true(told, lineage, lineage.head)

    def _compare_age(self, told: Told, lineage: Lineage, fault: str, held_back: float) -> None:
        answer, seen = told.answer, self.seen
        superseded = lineage.superseded(told.position.revision)
        old = 0.0 if superseded is None else max(0.0, told.asked - superseded)
        seen.longest = max(seen.longest, old)
        seen.staleness[fault] = max(seen.staleness.get(fault, 0.0), old)
        seen.stale += answer["stale"]
        if not answer["stale"]:
            self._fresh.add((told.sidecar, told.start))
            seen.longest_fresh = max(seen.longest_fresh, old)
            if answer["age_ms"] > STALE_AFTER_S * 1000:
                seen.wrong("fresh though old", f"{told} while {fault}")
        if (told.sidecar, told.start) in self._fresh:  # before that the age is only told to be unknown, by `stale`
            understated = old - answer["age_ms"] / 1000
            seen.understated = max(seen.understated, understated)
            seen.beyond = max(seen.beyond, understated - held_back)
            if understated > self._age_slack + held_back and not self._from_the_writer(told):
                seen.wrong("too young", f"{told}; superseded {old:.3f} s before it was asked for, while {fault}")


def _true(told: Told, lineage: Lineage, revision: int) -> bool:
    catalogue = lineage.catalogue(revision)
    if catalogue is None:
        return bool(told.answer["reason"] == "unknown_feature")
    rows = lineage.rows(told.answer["user_id"], revision)
    moments = [Instant(int(seconds * SECOND)) for seconds in told.wall]
    feature = FeatureCode(told.answer["feature"])
    return any(_says(told.answer, decide(rows, feature, catalogue, moment)) for moment in moments)


def _says(answer: dict[str, Any], decision: Decision) -> bool:
    return bool(
        answer["allowed"] is decision.allowed
        and answer["value"] == decision.value
        and answer["source"] == decision.source
        and answer["reason"] == decision.reason.value
    )
