"""Spans cost nothing where none are sent."""

import subprocess
import sys
from pathlib import Path

import pytest

from common import tracing
from common.settings import Reader, SettingsError
from common.trail import Trail, current, followed

ROOT = Path(__file__).resolve().parents[3]
_LOADED = """
import sys, writer.__main__, sidecar.__main__
print([name for name, module in sys.modules.items() if "opentelemetry" in name and module])
"""


def test_without_an_endpoint_nothing_of_it_is_loaded() -> None:
    """Neither process imports OpenTelemetry by itself."""
    done = subprocess.run([sys.executable, "-c", _LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_an_endpoint_a_span_is_nothing() -> None:
    """The trail stays the caller's, so that a caller's trace is still in the logs and passed on."""
    trail = Trail("req-1")
    with followed(trail), tracing.span("something", more="x") as span:
        assert span is None
        assert current() is trail
    assert tracing.begin(trail, "something", tracing.Kind.SERVER) is None


@pytest.mark.parametrize(
    ("settings", "enabled"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "shop"}, False),
    ],
)
def test_an_endpoint_asks_for_spans(settings: dict[str, str], *, enabled: bool) -> None:
    """Either variable of OpenTelemetry does."""
    reader = Reader(settings)
    assert tracing.read_enabled(reader) is enabled
    reader.finish()


def test_what_cannot_be_spoken_is_a_fault() -> None:
    """A collector that waits for gRPC would get nothing, silently."""
    reader = Reader({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    tracing.read_enabled(reader)
    with pytest.raises(SettingsError) as caught:
        reader.finish()
    assert [fault.split()[0] for fault in caught.value.faults] == [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ]
