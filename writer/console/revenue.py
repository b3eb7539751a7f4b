"""What projects earn, as the overview draws it: each currency by itself, because nobody may add them up."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from writer.domain.money import decimals, written
from writer.operations.figures import Figures, Period


@dataclass(frozen=True, slots=True)
class Revenue:
    """One currency: all projects by month, in whole units; each project with its last month and year, written out."""

    currency: str
    months: Sequence[tuple[str, float]]
    projects: Sequence[tuple[str, str, str]]


def by_currency(figures: Sequence[Figures], asked: Period) -> list[Revenue]:
    """Net of refunds and lost disputes; the currency in which most was paid first."""
    months = _months(asked)
    found: dict[str, dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
    for one in figures:
        for row in one.money:
            found[row.currency][one.project, row.month] += row.net
    totals = {one: sum(map(abs, amounts.values())) / 10 ** decimals(one) for one, amounts in found.items()}
    return [_revenue(currency, found[currency], months) for currency in sorted(found, key=lambda one: -totals[one])]


def _revenue(currency: str, amounts: dict[tuple[str, str], int], months: Sequence[str]) -> Revenue:
    unit = 10 ** decimals(currency)
    projects = sorted({project for project, _ in amounts})
    by_month = [(month, sum(amounts.get((project, month), 0) for project in projects) / unit) for month in months]
    return Revenue(
        currency.upper(),
        by_month,
        [
            (
                project,
                written(amounts.get((project, months[-1]), 0), currency),
                written(sum(amounts.get((project, month), 0) for month in months), currency),
            )
            for project in projects
        ],
    )


def _months(asked: Period) -> list[str]:
    first = asked.first.year * 12 + asked.first.month - 1
    last = asked.last.year * 12 + asked.last.month - 1
    return [f"{count // 12}-{count % 12 + 1:02}" for count in range(first, last + 1)]
