"""What a payer is told where Stripe was not asked, or did not answer."""

import pytest

from common.problems import Problem
from writer.checkout.stripe_problems import as_problems
from writer.gateway.errors import StripeUnavailableError, UnpacedError


@pytest.mark.parametrize(
    ("error", "code"),
    [(UnpacedError(), "database_unavailable"), (StripeUnavailableError("no answer", 3), "stripe_unavailable")],
)
def test_a_payer_hears_what_is_away(error: StripeUnavailableError, code: str) -> None:
    """Where the database that keeps the rate limit is away, it is the database that is named; both are 503."""
    with pytest.raises(Problem) as caught, as_problems():
        raise error
    assert (caught.value.status, caught.value.code) == (503, code)
    assert int((caught.value.headers or {})["Retry-After"]) > 0
