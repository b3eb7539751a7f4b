"""Cuts a plan that differs down to what it takes: fewer lives first, then fewer acts, then fewer faults."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from tests.lives.plan import CALM, Finder, Plan

Differs = Callable[[Plan], Awaitable[bool]]
"""Whether a plan still differs; timing plays a part, so it may be played more than once to tell."""

_MOST_TRIES: Final = 80


async def shrunk(plan: Plan, suspects: list[str], differs: Differs) -> Plan:
    """The smallest plan that was found; the same one where it does not differ again."""
    alone = plan.of(*suspects)
    if not await differs(alone):
        return plan
    plan = await _calmer(alone, differs)
    return await _calmer(await _fewer_acts(plan, differs), differs)


async def _calmer(plan: Plan, differs: Differs) -> Plan:
    """Without faults, else with those of webhooks alone."""
    unharmed = replace(plan, kills=frozenset(), outages={}, broken=frozenset(), checks=frozenset())
    for calmer in (replace(unharmed, rates=CALM, finder=Finder.SWEEP), replace(unharmed, rates=CALM), unharmed):
        if calmer == plan or await differs(calmer):
            return calmer
    return plan


async def _fewer_acts(plan: Plan, differs: Differs) -> Plan:
    tries, size = 0, max(1, len(plan.acts) // 2)
    while tries < _MOST_TRIES:
        before, start = len(plan.acts), 0
        while start < len(plan.acts) and tries < _MOST_TRIES:
            tries += 1
            smaller = replace(plan, acts=plan.acts[:start] + plan.acts[start + size :])
            if await differs(smaller):
                plan = smaller
            else:
                start += size
        if size == 1 and len(plan.acts) == before:
            break
        size = max(1, size // 2)
    return plan
