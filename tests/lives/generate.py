"""A plan for a town, drawn from a seed: many lives, the shops' own edits, time, and everything that goes wrong."""

from random import Random
from typing import Any, Final

from tests.lives.goods import CATALOGUES, PRICE_EDITS, PRICES, PRODUCT_EDITS
from tests.lives.life import life
from tests.lives.plan import TOWN, Act, Finder, Plan, Rates

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
TICKS: Final = 14
MOST_ACTS: Final = 12
_GAPS: Final = (
    (0, 2),
    (1, 2),
    (2, 2),
    (3, 1),
    (90, 2),
    (2 * HOUR, 2),
    (DAY, 2),
    (4 * DAY, 3),
    (8 * DAY, 3),
    (16 * DAY, 2),
)
_FINDERS: Final = (
    Finder.SWEEP, Finder.RECONCILE, Finder.SWEEP, Finder.WRITERS, Finder.SWEEP, Finder.RECONCILE,
)  # fmt: skip
_MANY: Final = 0.3
"""How often an event is dropped where its finder has to show what it can do: the next event may say the same."""
_OUTAGES: Final = ("down", "rate_limit", "cut", "slow")


def plan(seed: int, lives: int, *, ticks: int = TICKS, most: int = MOST_ACTS, rates: Rates | None = None) -> Plan:
    """The same plan for the same arguments; each life depends on the seed and its own number only."""
    rng = Random(f"{seed}:town")
    acts = [act for n in range(lives) for act in life(f"{n:03}", Random(f"{seed}:{n}"), ticks, most)]
    gaps = [rng.choices([gap for gap, _ in _GAPS], [weight for _, weight in _GAPS])[0] for _ in range(ticks)]
    gaps[rng.randrange(ticks)] = 19 * DAY
    finder = _FINDERS[seed % len(_FINDERS)]
    return Plan(
        seed=seed,
        gaps=tuple(gaps),
        acts=tuple(sorted([*acts, *_shops(rng, ticks)], key=lambda act: act.tick)),
        rates=rates or (Rates() if finder is Finder.SWEEP else Rates(dropped=_MANY)),
        kills=frozenset(rng.sample(range(ticks), ticks // 3)),
        outages={tick: rng.choice(_OUTAGES) for tick in rng.sample(range(ticks), ticks // 4)},
        broken=frozenset(rng.sample(range(ticks), 2)),
        checks=frozenset(rng.sample(range(ticks), 1)),
        settings=_settings(rng),
        finder=finder,
    )


def _shops(rng: Random, ticks: int) -> list[Act]:
    """What the shops change while people buy."""
    made = []
    for _ in range(rng.randint(3, 8)):
        what, details = _edit(rng)
        made.append(Act(rng.randrange(ticks), TOWN, what, details))
    return made


def _edit(rng: Random) -> tuple[str, dict[str, Any]]:
    match rng.randrange(4):
        case 0 | 1:
            return "catalogue", {"name": rng.choice(list(CATALOGUES))}
        case 2:
            price, key, value = rng.choice(PRICE_EDITS)
            return "edit_price", {"price": price, "key": key, "value": value}
        case _ if rng.random() < 0.6:
            product, key, value = rng.choice(PRODUCT_EDITS)
            return "edit_product", {"product": product, "key": key, "value": value}
        case _:
            return "archive", {"price": rng.choice(list(PRICES)), "active": rng.random() < 0.5}


def _settings(rng: Random) -> dict[str, Any]:
    return {
        "finalize_after": rng.choice((0, HOUR)),
        "dunning_end": rng.choice(("canceled", "unpaid", "past_due")),
        "created_status": rng.choice(("incomplete", "active")),
    }
