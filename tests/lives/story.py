"""The story of a life as it is drawn: what has come to be so far, and how the next thing is chosen."""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.lives.plan import Act

NAMING: Final = (("full", 6), ("user", 4), ("none", 3), ("wrong", 1), ("ghost", 1), ("bad", 1))
"""How something names its buyer: user and project, the user only, nobody, the wrong or an unknown project, no user."""


_ANOTHER: Final = 0.15
"""How often a sale names another user than its customer's."""


@dataclass(slots=True)
class Customer:
    """One that was made, as far as its name is known to the plan."""

    name: str
    user: str
    project: str
    naming: str
    dies: bool


@dataclass(slots=True)
class Story:
    """What has happened so far, as far as the next act must know."""

    who: str
    rng: Random
    ticks: int
    acts: list[Act] = field(default_factory=list)
    customers: list[Customer] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    paid: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)
    refunds: list[str] = field(default_factory=list)
    disputes: list[str] = field(default_factory=list)
    gifts: list[str] = field(default_factory=list)
    dying: list[Customer] = field(default_factory=list)
    tick: int = 0
    made: int = 0

    @property
    def users(self) -> list[str]:
        """The family."""
        return [f"{self.who}-{name}" for name in ("ada", "bob", "cyd")]

    def new(self, prefix: str) -> str:
        """A name for something new."""
        self.made += 1
        return f"{prefix}{self.made}"

    def act(self, what: str, **details: Any) -> None:
        """Let it happen at the present tick."""
        self.acts.append(Act(self.tick, self.who, what, details))

    def draw(self, *choices: tuple[Any, int]) -> Any:
        """One of weighted choices."""
        return self.rng.choices([c for c, _ in choices], [w for _, w in choices])[0]

    def named(self, customer: Customer | None, namings: tuple[tuple[str, int], ...]) -> dict[str, Any]:
        """How a sale names its buyer: mostly the customer's user."""
        naming = self.draw(*namings)
        if customer is None:
            return {"naming": naming, "user": self.rng.choice(self.users), "project": "alpha"}
        other = self.rng.random() < _ANOTHER
        user = self.rng.choice(self.users) if other else customer.user
        return {"naming": naming, "user": user, "project": customer.project}

    def lines(self, goods: tuple[str, ...], most: int) -> list[tuple[str, int]]:
        """Prices with quantities."""
        chosen = self.rng.sample(goods, self.rng.randint(1, most))
        return [(name, self.draw((1, 5), (2, 2), (3, 1), (0, 0))) for name in chosen]
