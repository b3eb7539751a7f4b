"""A project with every kind of feature, and users who hold them: what OpenFeature's tests ask about."""

from typing import Any

import orjson

from common.catalogue import Kind
from common.clock import Instant
from tests.support.history import History, feature, grant
from tests.support.sidecars import Running

ANN = {"targetingKey": "ann"}
THEME = {"colour": "green", "rate": 0.5, "steps": [1, 2], "size": 2.0, "nothing": None}
FEATURES = (
    feature("pro"),
    feature("free", default=True),
    feature("seats", Kind.LIMIT),
    feature("storage", Kind.LIMIT, default=3),
    feature("region", Kind.CONFIG, default="eu"),
    feature("support", Kind.CONFIG),
    feature("theme", Kind.CONFIG),
)


def flags_history() -> History:
    """Ann holds everything, bob had pro once, and nobody else holds anything."""
    history = History(features=FEATURES)
    history.change(
        "ann",
        grant(),
        grant("seats", 5),
        grant("storage", "unlimited"),
        grant("region", "us"),
        grant("support", "phone"),
        grant("theme", THEME),
    )
    history.change("bob", grant(valid_from=Instant(1), valid_to=Instant(2)))
    return history


async def evaluate(
    running: Running, key: str | None, context: Any, headers: dict[str, str] | None = None
) -> tuple[int, Any, dict[str, str]]:
    """Status, JSON and headers of an evaluation of one flag, or of all."""
    url = f"http://{running.sidecar.address}/ofrep/v1/evaluate/flags" + ("" if key is None else f"/{key}")
    body = context if isinstance(context, bytes) else orjson.dumps({"context": context})
    async with running.session.post(url, data=body, headers=headers) as response:
        data = await response.read()
        return response.status, orjson.loads(data) if data else None, dict(response.headers)
