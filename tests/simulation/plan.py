"""What a seed decides: how large the world is, how long it lives, and which faults it meets when."""

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Final


class Fault(StrEnum):
    """Everything that can go wrong."""

    CUT = "link_cut"
    STALL = "link_stalled"
    HALF_OPEN = "half_open"
    DROP = "connection_dropped"
    LOST_ACKNOWLEDGEMENT = "commit_unacknowledged"
    PAUSE_WRITER = "writer_paused"
    PAUSE_SIDECAR = "sidecar_paused"
    KILL_WRITER = "writer_killed"
    KILL_SIDECAR = "sidecar_killed"
    CUT_FROM_POSTGRES = "writer_cut_from_postgres"
    FLUSH = "redis_emptied"
    FLUSH_IN_REFILL = "redis_emptied_in_refill"
    RESTART_REDIS = "redis_restarted_empty"
    FAIL_OVER = "redis_failed_over_to_older"
    EVICT = "redis_evicted_keys"
    OUT_OF_MEMORY = "redis_refused_writes"
    READ_ONLY = "redis_read_only"
    DELETE_BY_HAND = "documents_deleted_by_hand"
    TRIM_LOG = "change_log_trimmed"
    TRIM_OUTBOX = "outbox_trimmed"
    RESTORE = "database_restored"
    RESTORE_AND_FLUSH = "database_restored_redis_emptied"
    RESTORE_UNSEEN = "database_rolled_back_unseen"
    RESTART_POSTGRES = "postgres_restarted"
    JUMP = "wall_clock_jumped"


_WEIGHTS: Final[dict[Fault, int]] = {
    Fault.CUT: 6, Fault.STALL: 6, Fault.HALF_OPEN: 5, Fault.DROP: 8, Fault.LOST_ACKNOWLEDGEMENT: 4,
    Fault.PAUSE_WRITER: 7, Fault.PAUSE_SIDECAR: 4, Fault.KILL_WRITER: 5, Fault.KILL_SIDECAR: 4,
    Fault.CUT_FROM_POSTGRES: 3, Fault.FLUSH: 4, Fault.FLUSH_IN_REFILL: 3, Fault.RESTART_REDIS: 3, Fault.FAIL_OVER: 4,
    Fault.EVICT: 3, Fault.OUT_OF_MEMORY: 3, Fault.READ_ONLY: 2, Fault.DELETE_BY_HAND: 3, Fault.TRIM_LOG: 7,
    Fault.TRIM_OUTBOX: 3, Fault.RESTORE: 2, Fault.RESTORE_AND_FLUSH: 1, Fault.RESTORE_UNSEEN: 1,
    Fault.RESTART_POSTGRES: 2, Fault.JUMP: 3,
}  # fmt: skip

_STORM_SECONDS: Final = 0.6
_CALM: Final = 0.1
"""In so many worlds nothing goes wrong: sidecars only come and go, and what is committed must be there at once."""
_ROLLOUT_SECONDS: Final = 1.2
_PAUSES: Final = (0.1, 0.3, 0.8)
_ROLLOUT_PAUSES: Final = (0.3, 2.0, 6.0)
"""Longer where nothing goes wrong: the next change would show to a sidecar what it missed, and mend it."""
_IDLE_PAUSE: Final = 2.0
_IDLE_SECONDS: Final = 0.45

_ONCE: Final = frozenset({Fault.RESTORE_UNSEEN})
"""On a sidecar's word a writer begins one epoch in ten minutes: a second such rollback would wait for that."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault; `seconds`: how long what lasts does."""

    at: float
    fault: Fault
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A world."""

    seed: int
    writers: int
    sidecars: int
    projects: int
    users: int
    life: float
    """Seconds with faults and changes."""
    pause: float
    """Seconds between two changes, on average."""
    on_disk: bool
    faults: tuple[Planned, ...]
    rollout: float | None
    """Seconds between restarts of sidecars, one after the other, on average; None: none but by faults."""


def plan(seed: int) -> Plan:
    """The world of a seed."""
    rng = Random(f"plan {seed}")
    life = rng.uniform(8.0, 18.0)
    kinds = list(_WEIGHTS)
    drawn = rng.choices(kinds, [_WEIGHTS[kind] for kind in kinds], k=rng.randint(3, 9))
    chosen = [kind for at, kind in enumerate(drawn) if kind not in _ONCE or kind not in drawn[:at]]
    storms = [rng.uniform(1.0, life - 1.0), life - _STORM_SECONDS]

    def moment() -> float:
        # Half of all faults come together: what one of them mends, another one breaks meanwhile.
        return rng.choice(storms) + rng.uniform(0.0, _STORM_SECONDS) if rng.random() < 0.5 else rng.uniform(1.0, life)

    drawn_faults = [Planned(moment(), kind, rng.choice((0.3, 1.0, 2.5, 4.0, 7.0))) for kind in chosen]
    faults = sorted(drawn_faults, key=lambda one: one.at)
    calm = rng.random() < _CALM
    return Plan(
        seed,
        writers=rng.choice((1, 2, 2)),
        sidecars=rng.choice((2, 2, 3)),
        projects=rng.choice((1, 1, 1, 2)),
        users=rng.randint(3, 12),
        life=life,
        pause=rng.choice(_ROLLOUT_PAUSES if calm else _PAUSES),
        on_disk=rng.random() < 0.5,
        faults=() if calm else tuple(faults),
        rollout=_ROLLOUT_SECONDS if calm else None,
    )


def idle(seed: int) -> Plan:
    """A world in which little changes, and the change log is lost in the end: no later change shows what was missed."""
    drawn = plan(seed)
    lost = Planned(drawn.life - _IDLE_SECONDS, Fault.TRIM_LOG, 0.0)
    return replace(drawn, faults=(lost,), pause=_IDLE_PAUSE, rollout=None)


def refilling(seed: int) -> Plan:
    """A world in which Redis is emptied again and again, each time in the middle of a refill."""
    drawn = plan(seed)
    times = range(1, int(drawn.life))
    faults = tuple(Planned(float(at), Fault.FLUSH_IN_REFILL, 0.0) for at in times)
    return replace(drawn, faults=faults, rollout=None)
