"""For programs of ours, before they import anything that imports redis; not for what runs inside somebody else's.

redis-py loads all of OpenTelemetry's metrics where it finds that package, which is a dependency of ours: 3 MB and a
tenth of a second in every process, for what nobody here asks it to do.
"""

import sys
from typing import Any, Final

_UNASKED: Final = ("opentelemetry.metrics", "opentelemetry.sdk.metrics")

_modules: dict[str, Any] = sys.modules


def leave_out() -> None:
    """Let it look as if it were not installed."""
    for name in _UNASKED:
        _modules.setdefault(name, None)


def let_in() -> None:
    """Let it be imported from here on."""
    for name in _UNASKED:
        if _modules.get(name, sys) is None:
            del _modules[name]
