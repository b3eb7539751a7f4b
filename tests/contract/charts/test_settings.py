"""What the charts tell writer and sidecar is what those read: by their own settings readers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from common.settings import SettingsError, TcpAddress
from sidecar.settings import Settings as SidecarSettings
from tests.contract.charts.conftest import Refuse, Render
from tests.contract.charts.environment import environment
from tests.contract.charts.rendering import Charts, Rendering, containers
from tests.contract.charts.scenarios import APPS, WRITERS, Scenario, of
from tests.contract.charts.values import CHARTS, Value, read
from writer import settings as writer_settings

_PAGE = CHARTS.parent / "docs" / "settings.md"
_OF_THE_CHART = {"WRITER_LISTEN", "POSTGRES_BIN"}
"""The address follows from other values; Postgres's programs are on the image's path."""
_OF_THE_SIDECARS_CHART = {
    "SIDECAR_PROJECT", "SIDECAR_API_KEY", "REDIS_URL", "WRITER_URL", "SIDECAR_LISTEN", "SIDECAR_MANAGEMENT_LISTEN",
    "SIDECAR_SNAPSHOT_DIR",
}  # fmt: skip
"""What follows from other values than `settings`."""


def _documented(section: str) -> set[str]:
    """The variables that docs/settings.md gives a process; a test there holds them against the code."""
    [text] = re.findall(
        rf"^## {section}\n(.*?)(?=^## |\Z)", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", cell)}


def _settings(chart: str) -> dict[str, Value]:
    [group] = [value for value in read(chart).values if value.name == "settings"]
    return {value.path[-1]: value for value in group.children}


def _container(rendering: Rendering, name: str) -> dict[str, Any]:
    [found] = [each for _, pod in rendering.pods() for each in containers(pod) if each["name"] == name]
    return found


def _with_files(told: Mapping[str, str], container: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """The same where certificates are mounted below `folder`: a path elsewhere names no file."""
    found = dict(told)
    for mount in container.get("volumeMounts", []):
        if mount["mountPath"].startswith("/etc/billing/tls/"):
            place = folder / mount["name"]
            place.mkdir()
            (place / "ca.crt").touch()
            found = {name: text.replace(mount["mountPath"], str(place)) for name, text in found.items()}
    return found


@pytest.mark.parametrize("scenario", WRITERS, ids=str)
def test_the_writer_takes_what_it_is_told(charts: Charts, scenario: Scenario, tmp_path: Path) -> None:
    """In each scenario the settings of the writer's container are complete, and files that they name are mounted."""
    rendering = charts.render(scenario.chart, scenario.values)
    container = _container(rendering, "writer")
    told = _with_files(environment(rendering, container, scenario.name), container, tmp_path)
    assert writer_settings.read(told).listen == TcpAddress(told["WRITER_LISTEN"][:-5].strip("[]"), 8000)


@pytest.mark.parametrize("scenario", APPS, ids=str)
def test_the_sidecar_takes_what_it_is_told(charts: Charts, scenario: Scenario, tmp_path: Path) -> None:
    """In each scenario the settings of the sidecar's container are complete and right."""
    rendering = charts.render(scenario.chart, scenario.values)
    container = _container(rendering, "billing-sidecar")
    settings = SidecarSettings.from_mapping(_with_files(environment(rendering, container), container, tmp_path))
    asked = scenario.values["billing-sidecar"]
    assert list(settings.projects) == [project["id"] for project in asked["projects"]]
    keys = [None if key is None else key.reveal() for key in settings.projects.values()]
    assert keys == [key for key in keys if key is None or key.startswith("test-")]


def test_every_setting_of_the_writer_can_be_told() -> None:
    """What docs/settings.md names is a value under `settings` or `secrets`, and nothing else is."""
    secrets = {value.path[1] for value in read("billing-writer").leaves() if value.path[0] == "secrets"}
    told = _settings("billing-writer").keys() | secrets | _OF_THE_CHART
    named = _documented("Writer")
    assert len(named) > 25
    assert named - told == set()
    assert told - named <= {"existingSecret", "directDatabaseUrl", "BACKUP_SCRATCH_URL", *_OF_THE_CHART}


def test_every_setting_of_the_sidecar_can_be_told() -> None:
    """What docs/settings.md names is a value under `settings`, or follows from another, and nothing else does."""
    told = _settings("billing-sidecar").keys() | _OF_THE_SIDECARS_CHART
    named = _documented("Sidecar")
    assert len(named) > 15
    assert named - told == set()
    assert all(name.startswith("OTEL_") for name in told - named)


@pytest.mark.parametrize("chart", ["billing-writer", "billing-sidecar"])
def test_a_scenario_has_every_setting(chart: str) -> None:
    """Each setting is rendered somewhere at a value that is not its default."""
    scenario = of("billing-writer" if chart == "billing-writer" else "example-app", "every-setting").values
    settings = scenario["settings"] if chart == "billing-writer" else scenario["billing-sidecar"]["settings"]
    assert [name for name in _settings(chart) if name not in settings] == []


def _bounded(chart: str) -> list[tuple[str, int, int]]:
    found = [(name, value.schema) for name, value in _settings(chart).items() if "minimum" in value.schema]
    return [(name, schema["minimum"], schema["maximum"]) for name, schema in found]


@pytest.mark.parametrize(("name", "least", "most"), _bounded("billing-writer"))
def test_bounds_are_the_writers(writer: Render, refused: Refuse, name: str, least: int, most: int) -> None:
    """The chart takes a number where the writer does, and refuses it, by its name, where the writer does."""
    for number in (least, most):
        rendering = writer(settings={name: number})
        told = environment(rendering, _container(rendering, "writer"))
        assert told[name] == str(number)
        writer_settings.read(told)
    for number in (least - 1, most + 1):
        assert name in refused(settings={name: number})
        with pytest.raises(SettingsError, match=name):
            writer_settings.read({**environment(writer(), _container(writer(), "writer")), name: str(number)})


def test_bounds_are_the_sidecars(app: Render, sidecar_refused: Refuse) -> None:
    """The same for a sidecar."""
    [(name, least, most)] = _bounded("billing-sidecar")
    for number in (least, most):
        rendering = app(settings={name: number})
        told = environment(rendering, _container(rendering, "billing-sidecar"))
        assert (told[name], SidecarSettings.from_mapping(told).max_streams) == (str(number), number)
    for number in (least - 1, most + 1):
        assert name in sidecar_refused(settings={name: number})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("DATABASE_POOLER", "session"),
        ("DATABASE_LOCK_TIMEOUT", "10"),
        ("STRIPE_API_BASE", "stripe.example.com"),
        ("RECONCILE_AT", "24:00"),
        ("RECONCILE_AT", True),
        ("LOG_LEVEL", "debug"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=x"),
        ("DATABASE_POOL_SIZ", 3),
        ("ADMIN_API_KEY", "test-admin"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(refused: Refuse, name: str, wrong: object) -> None:
    """A mistyped name, a value that the writer would refuse, and a secret among plain settings."""
    assert name in refused(settings={name: wrong})


def test_a_bare_off_is_off(writer: Render) -> None:
    """YAML makes a bare `off` false; the writer is told `off`."""
    assert writer(settings={"RECONCILE_AT": False}).one("ConfigMap")["data"]["RECONCILE_AT"] == "off"


@pytest.mark.parametrize("name", ["STRIPE_MAX_RSP", "DATABASE_URL", "LOG_LEVEL", "REDIS_URL", "CACHE_TLL"])
def test_extra_variables_are_no_way_around(refused: Refuse, name: str) -> None:
    """What looks like a setting of the writer is told where it belongs."""
    assert f"extraEnv: {name} " in refused(extraEnv=[{"name": name, "value": "x"}])


def test_extra_variables_of_a_sidecar_are_no_way_around(sidecar_refused: Refuse) -> None:
    """What looks like a setting of the sidecar is told where it belongs."""
    refusal = sidecar_refused(extraEnv=[{"name": "SIDECAR_STALE_AFTR", "value": "5s"}])
    assert re.search(r"extraEnv: SIDECAR_STALE_AFTR belongs in settings", refusal)
