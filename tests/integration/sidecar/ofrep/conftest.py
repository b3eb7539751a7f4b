"""What OpenFeature's tests share."""

import pytest

from tests.support.history import History
from tests.support.ofrep import flags_history


@pytest.fixture
def history() -> History:
    """A project with every kind of feature."""
    return flags_history()
