"""Memory: what some held at some moments, to ask the writer's history about at the end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from random import Random
from typing import Any, Final

from common.document import Document, entitlements_to_json
from tests.lives.account import Json
from tests.lives.compare import Difference, Held
from tests.lives.writer_api import WriterApi

USERS: Final = 5
"""Of each project, each time."""
_ROW: Final = ("feature_code", "source", "source_ref", "valid_from", "valid_to", "value")


@dataclass(frozen=True, slots=True)
class _Remembered:
    project: str
    document: Document
    moment: datetime
    """By the database's clock, which is the writers'."""


class Memory:
    """Remembers while all is quiet, and asks later."""

    def __init__(self, api: WriterApi, database: Any, rng: Random) -> None:
        self._api = api
        self._database = database
        self._rng = rng
        self._remembered: list[_Remembered] = []

    def __len__(self) -> int:
        return len(self._remembered)

    async def keep(self, held: Mapping[str, Held]) -> None:
        """Remember what some of them hold at this moment, when nothing moves."""
        moment = await self._database.fetchval("SELECT clock_timestamp()")
        for project, one in held.items():
            chosen = self._rng.sample(sorted(one.documents), min(USERS, len(one.documents)))
            self._remembered += [_Remembered(project, one.documents[user], moment) for user in chosen]

    async def differences(self) -> list[Difference]:
        """Where the history tells it otherwise."""
        return [found for one in self._remembered for found in _differing(one, await self._told(one))]

    async def _told(self, one: _Remembered) -> Json:
        at = one.moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        path = f"admin/history?project_id={one.project}&user_id={one.document.user_id}&at={at}"
        status, answer = await self._api.call("GET", path)
        assert status == HTTPStatus.OK, answer
        return answer


def _differing(one: _Remembered, told: Json) -> Iterator[Difference]:
    who = (one.project, str(one.document.user_id))
    change = told["document"] or {"epoch": None, "revision": None, "cause": None}
    if (change["epoch"], change["revision"]) != one.document.position:
        yield Difference(who, f"the position in the history at {one.moment}", one.document.position, change)
    held = _sorted(entitlements_to_json(one.document.entitlements))
    grants = [{name: grant[name] for name in _ROW} for feature in told["features"] for grant in feature["grants"]]
    if held != _sorted(grants):
        yield Difference(who, f"the history at {one.moment}", held, grants)


def _sorted(rows: list[Json]) -> list[Json]:
    return sorted(rows, key=str)
