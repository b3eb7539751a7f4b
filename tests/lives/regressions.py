"""Lives that once ended in something else than Stripe holds, cut down to what it took. Kept for ever, by name."""

from collections.abc import Mapping
from typing import Final

from tests.lives.oracle import DAY
from tests.lives.plan import CALM, TOWN, Act, Plan

_ADA: Final = {"user": "001-ada", "project": "alpha", "naming": "full"}

REGRESSIONS: Final[Mapping[str, Plan]] = {
    # An event in a shape of before 2025-03-31 shows one period for items that have several.
    "items of several periods in an old shape": Plan(
        seed=1,
        gaps=(8 * DAY, 3),
        acts=(
            Act(0, "001", "customer", {"name": "c1", "card": "ok", **_ADA}),
            Act(
                0,
                "001",
                "subscribe",
                {"name": "s2", "customer": "c1", "lines": [("basic_month", 1), ("pro_year", 2)], **_ADA},
            ),
            Act(1, "001", "name", {"kind": "subscription", "of": "s2", **_ADA, "user": "001-bob"}),
        ),
        rates=CALM,
        version="2024-06-20",
    ),
    # The recurring line of a session made its purchase nobody's or not, depending on which event came first.
    "a recurring line of another project beside a purchase": Plan(
        seed=2,
        gaps=(60, 3),
        acts=(
            Act(0, TOWN, "edit_price", {"price": "basic_month", "key": "project_id", "value": "beta"}),
            Act(
                1,
                "001",
                "checkout",
                {
                    "name": "k1",
                    "mode": "subscription",
                    "outcome": "pay",
                    "lines": [("basic_month", 1), ("ticket", 2)],
                    **_ADA,
                },
            ),
        ),
        rates=CALM,
    ),
    # Nobody names the subscription, and its customer is known by an earlier checkout only.
    "a customer who is known by a checkout": Plan(
        seed=3,
        gaps=(60, 3),
        acts=(
            Act(0, "001", "customer", {"name": "c1", "card": "ok", **_ADA, "naming": "none"}),
            Act(
                0,
                "001",
                "subscribe",
                {"name": "s2", "customer": "c1", "lines": [("pro_month", 1)], **_ADA, "naming": "none"},
            ),
            Act(
                1,
                "001",
                "checkout",
                {
                    "name": "k3",
                    "mode": "payment",
                    "outcome": "pay",
                    "customer": "c1",
                    "lines": [("lasting", 1)],
                    **_ADA,
                    "naming": "reference",
                },
            ),
        ),
        rates=CALM,
    ),
}
