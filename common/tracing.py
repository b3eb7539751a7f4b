"""Spans of OpenTelemetry, where an endpoint for them is set; else nothing of it is imported and a span is nothing.

As with logging there is one for the process. Spans follow the trail (`common.trail`): the current trail names the
parent, and within a span it names the span, so that whoever writes the trail down carries the trace on.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from common import lean
from common.settings import Reader
from common.trail import Trail, current, followed

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_SPOKEN: Final = "http/protobuf"


class Kind(StrEnum):
    """What a span is to its parent, as OpenTelemetry names it."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


Value = str | int


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has begun. `trail` leads on from it."""

    trail: Trail
    note: Callable[[str, Value], None]
    end: Callable[[BaseException | None], None]


class Tracer(Protocol):
    """Makes spans."""

    def begin(self, trail: Trail, name: str, kind: Kind, attributes: dict[str, Value]) -> Span:
        """A span whose parent `trail` names; without one it begins a trace."""
        ...

    def close(self) -> None:
        """Send what was not sent yet, and end."""
        ...


_tracer: Tracer | None = None


def read_enabled(reader: Reader) -> bool:
    """Whether spans are sent. The other variables of OpenTelemetry are read by its own SDK."""
    named = [reader.optional_url(name, "http", "https") for name in ENDPOINTS]
    for name in _PROTOCOLS:
        if (reader.optional_text(name) or _SPOKEN) != _SPOKEN:
            reader.fault(name, f"must be {_SPOKEN}: no other is spoken")
    return any(named)


@contextmanager
def opened(service: str, *, enabled: bool) -> Iterator[None]:
    """Send spans within, as `service` unless `OTEL_SERVICE_NAME` says otherwise."""
    global _tracer  # noqa: PLW0603 - one for the process, as with logging
    if not enabled:
        yield
        return
    lean.let_in()
    from common.otel import OpenTelemetry  # noqa: PLC0415 - some 8 MB that only those pay who want it

    _tracer = OpenTelemetry(service)
    try:
        yield
    finally:
        tracer, _tracer = _tracer, None
        tracer.close()


def begin(trail: Trail, name: str, kind: Kind, **attributes: Value) -> Span | None:
    """A span that the caller ends; None where none are sent. An attribute `a_b` is told as `billing.a_b`."""
    if _tracer is None:
        return None
    return _tracer.begin(trail, name, kind, {f"billing.{key}": value for key, value in attributes.items()})


def span(name: str, kind: Kind = Kind.INTERNAL, **attributes: Value) -> AbstractContextManager[Span | None]:
    """A span around a block, which is the current one within."""
    return _NOTHING if _tracer is None else _around(name, kind, attributes)


@contextmanager
def _around(name: str, kind: Kind, attributes: dict[str, Value]) -> Iterator[Span | None]:
    begun = begin(current(), name, kind, **attributes)
    if begun is None:
        yield None
        return
    failed: BaseException | None = None
    try:
        with followed(begun.trail):
            yield begun
    except BaseException as error:
        failed = error
        raise
    finally:
        begun.end(failed)


_NOTHING: Final = nullcontext[Span | None](None)
