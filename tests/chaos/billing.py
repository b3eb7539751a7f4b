"""Billing life: what customers, shops and operators do at Stripe and at the writers, several times a second."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import Any, Final

from tests.chaos.observer import Question
from tests.lives import acts, orders, writer_acts
from tests.lives.account import Gift, Json
from tests.lives.compare import Held
from tests.lives.goods import FEATURES, PROJECTS
from tests.lives.life import life
from tests.lives.oracle import Oracle
from tests.lives.plan import Act
from tests.lives.town import Town
from tests.lives.writer_api import WriterApi

_FAMILIES_AT_ONCE: Final = 8
_ACTS_OF_A_FAMILY: Final = 10
_RECONCILED_WITHIN_S: Final = 120.0
_POLL_S: Final = 0.1
_STRANGERS: Final = 0.1
_BESIDE_THE_CATALOGUE: Final = 0.02
_ASKED: Final = {"alpha": (*FEATURES, "reading", "archive"), "beta": ("stars", "export")}
# Of a deleted customer nothing can be listed afterwards, so an older dump could not be brought up to date.
_LEFT_OUT: Final = frozenset({"delete_customer"})


@dataclass(frozen=True, slots=True)
class Given:
    """What operators had given and declared when a dump was made: all of it that a restore brings back."""

    gifts: dict[str, Gift]
    declared: dict[str, Json]


class Billing:
    """Lives that are lived one after the other, about `per_second` acts of them all."""

    def __init__(self, town: Town, api: WriterApi, seed: int, per_second: float) -> None:
        self.town = town
        self.acts = 0
        self.faults: list[str] = []
        self._api = api
        self._seed = seed
        self._pause = _FAMILIES_AT_ONCE / per_second
        self._numbers: Iterator[int] = iter(range(10_000))
        self.users = [f"{number:03}-ada" for number in range(_FAMILIES_AT_ONCE)]
        self._operating = asyncio.Lock()
        self._over = False

    async def open(self) -> None:
        """The projects, what they sell, and what is declared."""
        for project in PROJECTS:
            await self._api.open_project(project)
        await self.town.stock()
        for project in PROJECTS:
            await writer_acts.declare(self.town, self._api, project)

    def end(self) -> None:
        """Let `run` return once every act that has begun is done."""
        self._over = True

    async def run(self) -> None:
        """Live, until told to end."""
        await asyncio.gather(*(self._families(lane) for lane in range(_FAMILIES_AT_ONCE)))

    def question(self, rng: Random) -> Question:
        """What to ask a sidecar: mostly about somebody who lives."""
        project = PROJECTS[0] if rng.random() < 0.8 else PROJECTS[1]
        user = "stranger" if rng.random() < _STRANGERS else rng.choice(self.users)
        feature = "nothing" if rng.random() < _BESIDE_THE_CATALOGUE else rng.choice(_ASKED[project])
        return project, user, feature

    @asynccontextmanager
    async def nobody_operates(self) -> AsyncIterator[None]:
        """No grant, revocation or catalogue is under way; customers go on."""
        async with self._operating:
            yield

    def given(self) -> Given:
        """What is given now. Ask it while nobody operates."""
        return Given(dict(self.town.gifts), dict(self.town.declared))

    def forget_since(self, given: Given) -> None:
        """The database is the one of that moment again: what was given since has to be given anew."""
        self.town.gifts, self.town.declared = dict(given.gifts), dict(given.declared)

    async def held(self, project: str) -> Held:
        """What the writers hold of a project."""
        return await self._api.held(project)

    def oracle(self) -> Oracle:
        """What everybody holds, as Stripe's objects and what was given say."""
        return Oracle(self.town.account())

    async def reconcile(self) -> None:
        """Have everything compared with Stripe, as after a restore, and wait until that is done."""
        status, run = await self._api.call("POST", "admin/reconcile", {"full": True})
        assert status == HTTPStatus.ACCEPTED, run
        async with asyncio.timeout(_RECONCILED_WITHIN_S):
            while run["state"] != "finished":
                await asyncio.sleep(_POLL_S)
                _, run = await self._api.call("GET", f"admin/reconcile/{run['run_id']}")

    async def _families(self, lane: int) -> None:
        rng = Random(f"{self._seed}:lane:{lane}")
        await asyncio.sleep(rng.random() * self._pause)
        for number in self._numbers:
            who = f"{number:03}"
            for act in life(who, Random(f"{self._seed}:{number}"), _ACTS_OF_A_FAMILY, _ACTS_OF_A_FAMILY):
                if self._over:
                    return
                self._meet(act.details)
                if act.what not in _LEFT_OUT:
                    await self._play(act)
                    await asyncio.sleep(self._pause * rng.uniform(0.5, 1.5))

    def _meet(self, details: Any) -> None:
        user = details.get("user")
        if user is not None and user not in self.users:
            self.users.append(user)

    async def _play(self, act: Act) -> None:
        try:
            if act.what in acts.AT_STRIPE:
                await acts.play(self.town, act)
            elif act.what == "order":
                await orders.order(self.town, self._api, act, disturbed=True)
            else:
                await self._operate(act)
        except AssertionError as error:
            self.faults.append(f"{act}: {error}")
        self.acts += 1

    async def _operate(self, act: Act) -> None:
        if act.what in {"confirm", "regret"}:
            await writer_acts.AT_WRITER[act.what](self.town, self._api, act)
            return
        async with self._operating:
            await writer_acts.AT_WRITER[act.what](self.town, self._api, act)
