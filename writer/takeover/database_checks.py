"""What is looked at in the database: catalogues, what is nobody's, what was given up, modes, the clock, arrivals."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import SECOND, Clock, format_time, from_datetime, from_seconds
from writer.domain.catalogue import Definition
from writer.gateway.pages import Json
from writer.recompute import load_definition
from writer.takeover.finding import Finding, bad, doubtful, good

_SHOWN: Final = 10
_CLOCK_ODD: Final = 2.0
"""Seconds."""


async def clock(connection: AsyncConnection, here: Clock) -> Finding:
    """The database's clock beside this machine's."""
    began = here.now()
    there = from_datetime((await connection.execute(_NOW)).scalar_one())
    seconds = (there - (began + here.now()) / 2) / SECOND
    if abs(seconds) <= _CLOCK_ODD:
        return good("clock of the database", f"differs from this machine's by less than {_CLOCK_ODD:.0f} s")
    told = f"differs from this machine's by {seconds:+.1f} s"
    return doubtful("clock of the database", told, "set both clocks (NTP)")


async def mode(connection: AsyncConnection, *, livemode: bool) -> Finding:
    """Whether what is held is of the key's mode."""
    row = (await connection.execute(_MODES, {"livemode": livemode})).one()
    name, other = ("live", "test") if livemode else ("test", "live")
    if not row.other:
        return good("mode", f"everything held is of {name} mode")
    told = f"{row.other} objects held are of {other} mode, {row.ours} of {name} mode, which STRIPE_SECRET_KEY is of"
    if row.ours:
        return doubtful(
            "mode", told, "one database for each mode: what is of the other mode is never brought up to date"
        )
    return bad("mode", told, "set the key of that mode, or another DATABASE_URL")


async def catalogues(connection: AsyncConnection) -> list[Finding]:
    """Prices that grant nothing, features that nothing grants, and sold prices that belong to nobody."""
    findings = []
    for row in (await connection.execute(_PROJECTS)).all():
        definition = await load_definition(connection, row.id, row.catalog_version)
        granted = set((await connection.execute(_GRANTED, {"project_id": row.id})).scalars())
        findings += _catalogue(row.public_id, definition, granted)
    for row in (await connection.execute(_NOBODYS)).all():
        told = (
            f"{row.subscriptions} open subscriptions have {_price(row)}, which belongs to no project, and grant nothing"
        )
        findings.append(doubtful("prices", told, "if it is yours, put it into catalog.yaml (archived prices too)"))
    return findings or [good("catalogue", "every active price grants something, and every feature can be had")]


def _catalogue(project: str, definition: Definition, granted: set[str]) -> list[Finding]:
    findings = []
    idle = sorted(
        name
        for name, info in definition.prices.items()
        if info.active and not ((plan := definition.plan_for(name, info.product_id)) and plan.features)
    )
    if idle:
        told = f"{project}: {len(idle)} active prices grant no feature: {_some(idle)}"
        findings.append(
            doubtful("prices", told, "name their features in catalog.yaml, or in Stripe's metadata feature_codes")
        )
    sold = {one.feature_code for plan in definition.plans.values() for one in plan.features}
    unsold = sorted(
        code
        for code, one in definition.features.items()
        if code not in sold and one.default is None and code not in granted
    )
    if unsold:
        told = f"{project}: nothing grants {_some(unsold)}"
        findings.append(doubtful("features", told, "let a plan of catalog.yaml grant them, or take them out"))
    return findings


def _price(row: Any) -> str:
    return f"{'the archived price' if row.active is False else 'the price'} {row.price_id}"


async def unassigned(connection: AsyncConnection) -> Finding:
    """What is ours and nobody's."""
    count = (await connection.execute(_UNASSIGNED)).scalar_one()
    if not count:
        return good("unassigned", "everything that is ours is somebody's")
    told = f"{count} subscriptions and purchases are ours and nobody's: they grant nothing"
    return doubtful("unassigned", told, "billing unassigned, billing claim")


async def parked(connection: AsyncConnection) -> Finding:
    """Events that were given up."""
    count = (await connection.execute(_PARKED)).scalar_one()
    if not count:
        return good("parked events", "none")
    return bad("parked events", f"{count} events were given up", "billing events list --status parked, then replay")


async def arrival(connection: AsyncConnection, newest: Json | None, *, polled: bool) -> Finding:
    """Whether the newest event of ours at Stripe came here, and how."""
    if newest is None:
        return good("arrival", "Stripe has no event of ours yet that had to arrive")
    named = f"{newest['id']} of {format_time(from_seconds(newest['created']))}"
    origin = (await connection.execute(_ORIGIN, {"id": newest["id"]})).scalar_one_or_none()
    if origin == "webhook" or (origin is not None and polled):
        return good("arrival", f"the newest event of ours, {named}, came by {origin}")
    mend = (
        "does the endpoint's URL lead to a writer, and is STRIPE_WEBHOOK_SECRET the endpoint's? "
        "billing_webhook_refused_total counts what was signed with another"
    )
    if origin is not None:
        return doubtful("arrival", f"the newest event of ours, {named}, came by {origin} and not by webhook", mend)
    return bad("arrival", f"the newest event of ours, {named}, never arrived", f"is a writer running? {mend}")


async def portals(connection: AsyncConnection) -> dict[str, str]:
    """The portal configuration that each project names, where it names one."""
    return {row.public_id: row.portal_configuration for row in await connection.execute(_PORTALS)}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


_NOW: Final = text("SELECT clock_timestamp()")

_MODES: Final = text("""
SELECT count(*) FILTER (WHERE livemode = :livemode) AS ours, count(*) FILTER (WHERE livemode <> :livemode) AS other
FROM (SELECT livemode FROM subscriptions UNION ALL SELECT livemode FROM purchases UNION ALL SELECT livemode FROM prices
      UNION ALL SELECT livemode FROM stripe_customers) held
""")

_PROJECTS: Final = text("SELECT id, public_id, catalog_version FROM projects ORDER BY public_id")

_GRANTED: Final = text("""
SELECT DISTINCT g.feature_code FROM manual_grants g JOIN users u ON u.id = g.user_ref
WHERE u.project_id = :project_id AND g.revoked_at IS NULL
""")

_NOBODYS: Final = text("""
SELECT i.price_id, bool_and(c.active) AS active, count(DISTINCT s.id) AS subscriptions
FROM subscription_items i JOIN subscriptions s ON s.id = i.subscription_id LEFT JOIN prices c ON c.id = i.price_id
WHERE c.project_id IS NULL AND s.project_id IS NULL AND s.status NOT IN ('canceled', 'incomplete_expired')
GROUP BY i.price_id ORDER BY count(DISTINCT s.id) DESC, i.price_id LIMIT 50
""")

_UNASSIGNED: Final = text("""
SELECT (SELECT count(*) FROM subscriptions WHERE unassigned_reason IS NOT NULL
        AND status NOT IN ('canceled', 'incomplete_expired'))
    + (SELECT count(*) FROM purchases WHERE unassigned_reason IS NOT NULL)
""")

_PARKED: Final = text("SELECT count(*) FROM webhook_events WHERE status = 'parked'")

_ORIGIN: Final = text("SELECT origin FROM webhook_events WHERE id = :id")

_PORTALS: Final = text("""
SELECT public_id, portal_configuration FROM projects WHERE portal_configuration IS NOT NULL
""")
