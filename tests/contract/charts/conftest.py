"""Fixtures of the charts' tests."""

from collections.abc import Callable
from typing import Any

import helm_python as helm
import pytest

from tests.contract.charts import scenarios
from tests.contract.charts.rendering import Charts, Rendering, over

Render = Callable[..., Rendering]
Refuse = Callable[..., str]


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """All charts, the example's dependency built."""
    return Charts.copied(tmp_path_factory.mktemp("charts"))


@pytest.fixture(scope="session")
def writer(charts: Charts) -> Render:
    """Renders the writer: the least that must be said, with these values over it."""
    least = scenarios.of("billing-writer", "minimal").values

    def render(**values: Any) -> Rendering:
        return charts.render("billing-writer", over(least, values))

    return render


@pytest.fixture(scope="session")
def app(charts: Charts) -> Render:
    """Renders the example's app: the least that must be said, with these values of its sidecar over it."""
    least = scenarios.of("example-app", "minimal").values

    def render(**values: Any) -> Rendering:
        return charts.render("example-app", over(least, {"billing-sidecar": values}))

    return render


def _refusing(render: Render) -> Refuse:
    def refuse(**values: Any) -> str:
        with pytest.raises(helm.HelmError) as caught:
            render(**values)
        return str(caught.value)

    return refuse


@pytest.fixture(scope="session")
def refused(writer: Render) -> Refuse:
    """What Helm says where it takes values of the writer not."""
    return _refusing(writer)


@pytest.fixture(scope="session")
def sidecar_refused(app: Render) -> Refuse:
    """What Helm says where it takes values of a sidecar not."""
    return _refusing(app)
