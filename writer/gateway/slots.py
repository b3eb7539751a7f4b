"""Slots in Postgres: as many as requests may reach Stripe within a second, taken and left by the database's clock.

A slot is taken before its request is sent and left when the answer is there, and rests for a second before it is
taken again. So two requests of one slot arrive more than a second apart, whatever the network does, and in no second
do more of them arrive than there are slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

ARRIVES_WITHIN: Final = 1.0
"""Seconds after which a request that nobody has answered yet counts as arrived: slow answers must not block slots."""

_PAYER_NOTICE: Final = 0.25
"""Seconds for which a waiting payer keeps background work away; it is renewed while they wait."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot that is ours. `until` names this taking: a later one of the same slot has another."""

    number: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """What was taken, and in how many seconds, at the soonest, another slot is free."""

    taken: Sequence[Slot]
    next: float


class Slots:
    """The slots that a process with its own STRIPE_MAX_RPS may take: the first `most`."""

    def __init__(self, engine: AsyncEngine, most: int) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._most = most
        self._made = False

    async def take(self, payers: int, background: int) -> Look:
        """Take free slots for as many who wait. None for background work while a payer waits, or Stripe wants less."""
        if not self._made:
            await self._execute(_MAKE, {"most": self._most})
            self._made = True
        row = await self._execute(
            _TAKE, {"most": self._most, "payers": payers, "all": payers + background, "hold": ARRIVES_WITHIN}
        )
        self._made = row.known >= self._most  # a restored database may hold fewer
        return Look([Slot(*pair) for pair in zip(row.numbers, row.untils, strict=True)], float(row.next))

    async def leave(self, used: Sequence[Slot], unused: Sequence[Slot]) -> None:
        """Leave slots: those whose request was answered, and those that none was sent with."""
        slots = [*used, *unused]
        rests = [0.0] * len(used) + [1.0] * len(unused)
        await self._execute(
            _LEAVE, {"numbers": [one.number for one in slots], "untils": [one.until for one in slots], "rests": rests}
        )

    async def payer_waits(self) -> None:
        """Keep background work, wherever it is done, from taking the next slots."""
        await self._execute(_PAYER_WAITS, {"seconds": _PAYER_NOTICE})

    async def slow_down(self, seconds: float) -> None:
        """Let no background work, wherever it is done, take a slot for so long."""
        await self._execute(_SLOW_DOWN, {"seconds": seconds})

    async def _execute(self, statement: TextClause, parameters: dict[str, object]) -> Any:
        async with self._engine.connect() as connection:
            result = await connection.execute(statement, parameters)
            return result.one() if result.returns_rows else None


_MAKE: Final = text("""
WITH pace AS (INSERT INTO stripe_pace (id) VALUES (1) ON CONFLICT DO NOTHING)
INSERT INTO stripe_slots (slot) SELECT generate_series(0, CAST(:most AS integer) - 1) ON CONFLICT DO NOTHING
""")

# A clock that was set back must not block slots for as long: what lies beyond any taking counts as free.
_TAKE: Final = text("""
WITH allowed AS MATERIALIZED (
    SELECT CASE WHEN clock_timestamp() < greatest(payers_until, slow_until) THEN CAST(:payers AS integer)
        ELSE CAST(:all AS integer) END AS count
    FROM stripe_pace WHERE id = 1
), free AS (
    SELECT slot FROM stripe_slots
    WHERE slot < :most AND (left_at < clock_timestamp() - interval '1 second'
        OR left_at > clock_timestamp() + interval '1 minute')
    ORDER BY left_at, slot LIMIT coalesce((SELECT count FROM allowed), 0) FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE stripe_slots s SET left_at = clock_timestamp() + make_interval(secs => CAST(:hold AS double precision))
    FROM free WHERE s.slot = free.slot RETURNING s.slot, s.left_at
)
SELECT coalesce((SELECT array_agg(slot ORDER BY slot) FROM taken), '{}') AS numbers,
    coalesce((SELECT array_agg(left_at ORDER BY slot) FROM taken), '{}') AS untils,
    count(*) AS known,
    coalesce(extract(epoch FROM greatest(min(left_at) FILTER (WHERE slot NOT IN (SELECT slot FROM taken)), 'epoch')
        - clock_timestamp()) + 1, 0) AS next
FROM stripe_slots WHERE slot < :most
""")

_LEAVE: Final = text("""
UPDATE stripe_slots s SET left_at = clock_timestamp() - make_interval(secs => mine.rest)
FROM unnest(CAST(:numbers AS smallint[]), CAST(:untils AS timestamptz[]), CAST(:rests AS double precision[]))
    AS mine(slot, until, rest)
WHERE s.slot = mine.slot AND s.left_at = mine.until
""")

_PAYER_WAITS: Final = text("""
UPDATE stripe_pace SET payers_until = clock_timestamp() + make_interval(secs => CAST(:seconds AS double precision))
WHERE id = 1 AND payers_until < clock_timestamp() + make_interval(secs => CAST(:seconds AS double precision) / 2)
""")

_SLOW_DOWN: Final = text("""
UPDATE stripe_pace
SET slow_until = greatest(slow_until, clock_timestamp() + make_interval(secs => CAST(:seconds AS double precision)))
WHERE id = 1
""")
