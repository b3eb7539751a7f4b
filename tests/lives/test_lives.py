"""Whatever happened, in whatever order it was told: documents over time equal what Stripe itself holds in the end."""

import asyncio
import sys

import pytest

from sandbox.postgres import PostgresServer
from sandbox.redis import RedisServer
from tests.lives.generate import plan
from tests.lives.ground import Ground
from tests.lives.outcome import Outcome
from tests.lives.plan import CALM, Act, Fault, Plan
from tests.lives.regressions import REGRESSIONS
from tests.lives.stage import play

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

TOWNS = 6
LIVES = 50


@pytest.fixture
def ground(
    shared_postgres: PostgresServer,
    template_database: str,
    shared_redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Ground:
    """This worker's servers; each plan makes a database of its own."""
    return Ground(shared_postgres, template_database, shared_redis.url, tmp_path_factory.mktemp("lives"))


def told(plan: Plan, outcome: Outcome) -> str:
    """What differs, and how to see it again."""
    shown = "\n".join(str(one) for one in outcome.differences[:10])
    return f"python -m tests.lives.prove --seed {plan.seed} --lives {len(plan.lives)} differs:\n{shown}"


@pytest.mark.parametrize("seed", range(1, TOWNS + 1))
async def test_many_lives_end_as_stripe_holds_them(ground: Ground, seed: int) -> None:
    """Fifty lives with every fault: two writers, killed in between, hold what the oracle reads from Stripe."""
    town = plan(seed, LIVES)
    outcome = await play(ground, town, name=f"lives_{seed}")
    assert not outcome.differences, told(town, outcome)
    assert len(town.lives) == LIVES
    assert all(outcome.faults[fault] for fault in Fault), outcome.faults


@pytest.mark.parametrize("name", REGRESSIONS)
async def test_what_once_went_wrong_goes_well(ground: Ground, name: str) -> None:
    """Each life that was found to end wrongly ends as Stripe holds it."""
    town = REGRESSIONS[name]
    outcome = await play(ground, town, name="regression")
    assert not outcome.differences, told(town, outcome)
    assert not outcome.refused


async def test_each_way_to_break_the_writer_finds_what_it_breaks() -> None:
    """A mutation of something that is called otherwise by now would prove nothing, and says so."""
    breaking = "from tests.lives import mutations\nfor one in mutations.MUTATIONS.values(): one()"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", breaking)
    assert await process.wait() == 0


async def test_a_broken_writer_is_noticed(ground: Ground) -> None:
    """The comparison can fail: a writer that gives something for quantity 0 differs from the oracle."""
    ada = {"user": "001-ada", "project": "alpha", "naming": "full"}
    acts = (
        Act(0, "001", "customer", {"name": "c1", "card": "ok", **ada}),
        Act(0, "001", "subscribe", {"name": "s2", "customer": "c1", "lines": [("pro_month", 0)], **ada}),
    )
    outcome = await play(ground, Plan(3, (3,), acts, CALM), mutation="nothing_is_free", name="broken")
    assert {difference.who for difference in outcome.differences} == {("alpha", "001-ada")}
