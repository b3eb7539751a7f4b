"""What the figures of a project and log levels are answered as, as the document has it."""

from typing import Annotated

from msgspec import Meta, Struct, field

from writer.api.answers import Money, Time

Month = Annotated[str, Meta(extra_json_schema={"pattern": r"^[0-9]{4}-[0-9]{2}$"})]


class SubscriptionCounts(Struct):
    """How many subscriptions are in each state now."""

    active: int
    trialing: int
    past_due: int
    unpaid: int
    paused: int
    incomplete: int
    canceled: int
    ending: int


class RevenueRow(Struct):
    """One month in one currency, which has so many decimals."""

    month: Month
    currency: str
    recurring: Money
    one_time: Money
    refunds: Money
    disputes: Money
    net: Money
    decimals: int


class FiguresAnswer(Struct):
    """What a project earns; a month without money has no row."""

    project_id: str
    from_: Month = field(name="from")
    to: Month
    subscriptions: SubscriptionCounts
    revenue: list[RevenueRow]


class AskedLevel(Struct):
    """A log level that was asked for; `logger` null: of all."""

    logger: str | None
    level: str
    until: Time | None
    actor: str
    set_at: Time


class LogLevelAnswer(Struct):
    """This writer's LOG_LEVEL, and what was asked for since."""

    log_level: str
    asked: list[AskedLevel]
