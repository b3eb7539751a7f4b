"""How long a subscription is kept on which nothing comes."""

from typing import Any, cast

import pytest

from sidecar.redis_cache import RedisSubscription
from sidecar.sources import UnavailableError

SILENCES = 20


class _Silent:
    """Answers when it is asked whether it lives, and brings nothing else; after so many silences a message."""

    def __init__(self) -> None:
        said: list[Any] = [
            {"type": "message", "channel": channel, "data": data} for channel, data in ((b"x", []), (b"ours", b"last"))
        ]
        self.replies: list[Any] = [None, {"type": "pong"}] * SILENCES + said

    async def get_message(self, **_: float) -> Any:
        return self.replies.pop(0)

    async def ping(self) -> None:
        pass


async def test_one_server_is_listened_to_for_as_long_as_it_answers() -> None:
    """Whoever publishes may be away."""
    assert await RedisSubscription(cast("Any", _Silent()), b"ours", patient=True).next() == b"last"


async def test_a_server_that_has_others_beside_it_is_left() -> None:
    """It may be cut off from those who are told what is published."""
    silent = _Silent()
    with pytest.raises(UnavailableError):
        await RedisSubscription(cast("Any", silent), b"ours", patient=False).next()
    assert len(silent.replies) > SILENCES
