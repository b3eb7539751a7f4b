"""The sidecar without its fast lane: the same answers from a routed aiohttp handler. `python -m benchmarks.routed`."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from common.listening import listening
from common.process import serve
from sidecar.api import Api
from sidecar.app import following
from sidecar.management import Management
from sidecar.settings import Settings
from sidecar.shadow import Shadow


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """Serve until the end."""
    async with AsyncExitStack() as stack:
        followed = await stack.enter_async_context(following(settings))
        shadow = Shadow(followed.clock)
        management = Management(followed.projects, followed.metrics, shadow, followed.clock, settings.instance)
        await stack.enter_async_context(listening(management.application(), settings.management_listen))
        api = Api(followed.answerer, followed.metrics.checks, shadow)
        await stack.enter_async_context(listening(api.application(), settings.listen))
        yield


if __name__ == "__main__":
    sys.exit(serve("routed", Settings.from_mapping, running))
