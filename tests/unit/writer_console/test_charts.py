"""Charts stand on a scale of plain numbers, whatever the values are."""

import pytest

from writer.console.charts import HEIGHT, WIDTH, bars


@pytest.mark.parametrize(
    ("values", "top"),
    [((), 1), ((0, None), 1), ((0.003,), 0.005), ((0.2, 0.19), 0.2), ((1,), 1), ((7, 3), 10), ((1200, 20), 2000)],
)
def test_a_scale_ends_at_a_plain_number_that_holds_all(values: tuple[float | None, ...], top: float) -> None:
    """The number at the top line, with half of it at the other."""
    chart = bars([(str(number), value) for number, value in enumerate(values)])
    assert [line.value for line in chart.lines] == pytest.approx([top / 2, top])


def test_bars_stand_beside_each_other_in_the_picture() -> None:
    """In order, on the axis, none over another, none outside; what is unknown has no height."""
    chart = bars([(str(n), value) for n, value in enumerate((0, 5, None, 10, 3))])
    for bar, after in zip(chart.bars, chart.bars[1:], strict=False):
        assert bar.x + bar.width < after.x
    for bar in chart.bars:
        assert 0 <= bar.x <= bar.x + bar.width <= WIDTH
        assert 0 <= bar.y <= bar.y + bar.height == pytest.approx(chart.base)
        assert chart.base < HEIGHT
    assert [bar.height == 0 for bar in chart.bars] == [True, False, True, False, False]
    assert chart.bars[3].height == pytest.approx(2 * chart.bars[1].height)
