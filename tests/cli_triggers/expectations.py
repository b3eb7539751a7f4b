"""What each trigger is told on top of its own fixtures, and what an app must be answered afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

PROJECT: Final = "notes"
FEATURE: Final = "export"


@dataclass(frozen=True, slots=True)
class Expectation:
    """`buys`: the fixture that names a user and sells a feature of ours. `granted`: whether the user then holds it."""

    buys: str
    granted: bool
    bank: str | None = None
    """What the bank says later of a payment that takes days."""


_SUBSCRIPTION: Final = "subscription"
_SESSION: Final = "checkout_session"

EXPECTED: Final[Mapping[str, Expectation]] = MappingProxyType(
    {
        "customer.subscription.created": Expectation(_SUBSCRIPTION, granted=True),
        "customer.subscription.updated": Expectation(_SUBSCRIPTION, granted=True),
        "customer.subscription.trial_will_end": Expectation(_SUBSCRIPTION, granted=True),
        "customer.subscription.paused": Expectation(_SUBSCRIPTION, granted=False),
        "customer.subscription.deleted": Expectation(_SUBSCRIPTION, granted=False),
        "checkout.session.completed": Expectation(_SESSION, granted=True),
        "checkout.session.async_payment_succeeded": Expectation(_SESSION, granted=True, bank="async_succeed"),
        "checkout.session.async_payment_failed": Expectation(_SESSION, granted=False, bank="async_fail"),
    }
)
"""What is bought in the other triggers has neither user nor price of ours, and must only be mirrored."""


def changes(expectation: Expectation, user: str) -> list[str]:
    """The CLI's arguments that make the trigger's purchase one of our users', of a product of ours."""
    added = {
        "product": {"project_id": PROJECT, "feature_codes": FEATURE},
        expectation.buys: {"project_id": PROJECT, "user_id": user},
    }
    return [
        argument
        for fixture, metadata in added.items()
        for name, value in metadata.items()
        for argument in ("--add", f"{fixture}:metadata.{name}={value}")
    ]
