"""What the tests of rendered containers may ask for."""

from tests.contract.charts.conftest import charts
from tests.support.sidecars import heart, history, publisher

__all__ = ["charts", "heart", "history", "publisher"]
