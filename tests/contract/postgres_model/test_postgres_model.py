"""The model of Postgres that simulations run on is to the product's classes what a real server is."""

import pytest

from tests.contract.postgres_model.cases import CASES
from tests.contract.postgres_model.ground import on_server, run_on_model
from tests.support.ledger import open_engine


@pytest.mark.parametrize("name", CASES)
def test_the_model_does_as_the_product_expects(name: str) -> None:
    """Each case holds on the model."""
    run_on_model(CASES[name])


@pytest.mark.parametrize("name", CASES)
async def test_a_real_server_does_as_the_product_expects(database_url: str, name: str) -> None:
    """Each case holds on a real server: so the model leaves out nothing that matters."""
    engine = open_engine(database_url)
    try:
        await CASES[name](on_server(engine))
    finally:
        await engine.dispose()
