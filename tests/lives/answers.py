"""What may be answered for a feature at a moment, by the oracle's rows and its reading of the catalogue."""

import json
from collections.abc import Sequence
from typing import Any

from tests.lives.oracle import Row
from tests.lives.oracle_catalogue import Feature

Answer = tuple[bool, str]
"""Allowed, and the value as canonical JSON."""


def answer(allowed: bool, value: Any) -> Answer:
    """An answer that can be compared."""
    return allowed, json.dumps(value, sort_keys=True)


def answers(feature: Feature, rows: Sequence[Row], moment: int) -> set[Answer]:
    """The right answers: one, but for configurations of equal rank that began in the same second."""
    held = [row for row in rows if row.holds(moment)]
    if not held:
        return _by_default(feature)
    match feature.kind:
        case "plain":
            return {answer(allowed=True, value=None)}
        case "limit":
            return {_limit(feature, [row.value for row in held])}
        case _:
            best = max((row.rank, row.start) for row in held)
            return {answer(allowed=True, value=row.value) for row in held if (row.rank, row.start) == best}


def _limit(feature: Feature, values: list[Any]) -> Answer:
    if "unlimited" in values:
        return answer(allowed=True, value="unlimited")
    numbers = [value for value in values if isinstance(value, int)]
    if not numbers:
        return answer(allowed=False, value=None)
    total = sum(numbers) if feature.combine == "sum" else max(numbers)
    return answer(allowed=total > 0, value=total)


def _by_default(feature: Feature) -> set[Answer]:
    if feature.default is None or feature.default is False:
        return {answer(allowed=False, value=None)}
    if feature.kind == "limit" and feature.default == 0:
        return {answer(allowed=False, value=0)}
    return {answer(allowed=True, value=None if feature.kind == "plain" else feature.default)}
