"""The live sidecars, by their own word, against the revisions that they name. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from common import wire
from common.position import Position
from common.wire import WireError
from writer.relay.heads import Standing
from writer.relay.presence import Presence
from writer.verify.report import Kind, SidecarState

IN_STEP: Final = 1_000
"""Revisions that a sidecar may be behind while changes go on; more, for seconds, is a sidecar that does not follow."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the sidecars say of themselves, and what is wrong with it, by instance."""

    states: Sequence[SidecarState]
    findings: Mapping[str, tuple[Kind, str]]


def judge_presences(present: Sequence[Presence], head: Standing, known: Mapping[Position, Standing | None]) -> Judged:
    """Judge presences that were read before `head`. `known`: what is true at the positions that they name."""
    states, findings = [], {}
    for one in present:
        state = _state(one, head, known)
        states.append(state)
        finding = _finding(state, head)
        if finding is not None:
            findings[one.instance] = finding
    return Judged(states, findings)


def _state(one: Presence, head: Standing, known: Mapping[Position, Standing | None]) -> SidecarState:
    facts = one.facts
    at = one.position
    behind = head.position.revision - at.revision if at is not None and at.epoch == head.position.epoch else None
    right = None if at is None else head if at == head.position else known.get(at)
    agrees = None if right is None or right.position != at else _told(facts) == (right.count, right.digest)
    age, mode = facts.get("age_ms"), facts.get("mode")
    return SidecarState(
        one.instance,
        at,
        behind,
        agrees,
        facts.get("complete") is True,
        age if type(age) is int else None,
        mode if isinstance(mode, str) else None,
        _users(facts.get("differing")),
    )


def _finding(state: SidecarState, head: Standing) -> tuple[Kind, str] | None:
    at = state.position
    if at is None:
        return Kind.UNREADABLE, "its presence names no position"
    told = f"stands at {at.token}, committed is {head.position.token}"
    if at > head.position:
        return Kind.AHEAD, told
    if state.behind is None or state.behind > IN_STEP or (state.behind and state.mode == "none"):
        return Kind.BEHIND, told
    if state.agrees is False:
        return Kind.DIGEST, f"at {at.token}"
    return None if state.complete else (Kind.UNPROVEN, f"at {at.token}")


def _told(facts: Mapping[str, Any]) -> tuple[Any, int | None]:
    try:
        return facts.get("count"), wire.parse_digest(facts["digest"])
    except (KeyError, TypeError, WireError, ValueError):
        return facts.get("count"), None


def _users(told: Any) -> tuple[str, ...]:
    return tuple(str(user) for user in told) if isinstance(told, list) else ()
