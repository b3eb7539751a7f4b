"""Cuts a plan that differs down to what it takes: fewer lives first, then fewer acts, then fewer faults."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from tests.lives.plan import CALM, Plan

Differs = Callable[[Plan], Awaitable[bool]]
"""Whether a plan still differs; timing plays a part, so it may be played more than once to tell."""

_MOST_TRIES: Final = 80


async def shrunk(plan: Plan, suspects: list[str], differs: Differs) -> Plan:
    """The smallest plan that was found; the same one where it does not differ again."""
    alone = plan.of(*suspects)
    if not await differs(alone):
        return plan
    plan = alone
    for calmer in (
        replace(plan, rates=CALM, kills=frozenset(), outages={}, broken=frozenset()),
        replace(plan, kills=frozenset(), outages={}, broken=frozenset()),
    ):
        if await differs(calmer):
            plan = calmer
            break
    return await _fewer_acts(plan, differs)


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
