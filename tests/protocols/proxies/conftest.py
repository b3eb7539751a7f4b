"""What the proxies' tests share: an app, and a project in which Ann may export and Bob may not."""

from collections.abc import AsyncIterator

import pytest

from tests.support.history import History, feature, grant
from tests.support.proxies import App


@pytest.fixture
def history() -> History:
    """`export` is held by Ann; `seats` by nobody."""
    history = History(features=(feature("export"), feature("seats")))
    history.change("ann", grant("export"))
    return history


@pytest.fixture
async def app() -> AsyncIterator[App]:
    """The app behind the proxy."""
    async with App().running() as app:
        yield app
