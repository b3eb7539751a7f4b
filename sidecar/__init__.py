"""The answer on localhost: an in-memory copy of the entitlements, beside every app.

For Python apps: `Replica` is that copy inside the app's own process, `EntitlementsClient` and
`AsyncEntitlementsClient` ask a sidecar.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.client import AsyncEntitlementsClient, EntitlementsClient, OnFailure
    from sidecar.embedded import Replica
    from sidecar.typed import Check

__all__ = ["AsyncEntitlementsClient", "Check", "EntitlementsClient", "OnFailure", "Replica"]

_PLACES = {"Check": "typed", "Replica": "embedded"}


def __getattr__(name: str) -> Any:
    # Only when it is asked for: whoever asks over HTTP need not load what follows Redis, nor the other way round.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"sidecar.{_PLACES.get(name, 'client')}"), name)
