"""The Job that brings the schema to what the release needs, before its writers start."""

import pytest

from tests.contract.charts.conftest import Refuse, Render
from tests.contract.charts.environment import environment
from tests.contract.charts.rendering import Charts, Manifest, Rendering
from tests.contract.charts.scenarios import WRITERS, Scenario
from writer import settings as writer_settings
from writer.cli import main
from writer.settings import Pooler


def _job(rendering: Rendering) -> Manifest:
    return rendering.one("Job", "-migrate")


def _container(rendering: Rendering) -> Manifest:
    [container] = _job(rendering)["spec"]["template"]["spec"]["containers"]
    found: Manifest = container
    return found


def test_it_runs_before_writers_and_goes(writer: Render) -> None:
    """Before install and upgrade; deleted once it succeeded, before the next, and after a day where it failed."""
    job = _job(writer())
    assert job["metadata"]["annotations"] == {
        "helm.sh/hook": "pre-install,pre-upgrade",
        "helm.sh/hook-weight": "0",
        "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
    }
    assert job["spec"]["ttlSecondsAfterFinished"] == 86_400
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_it_runs_a_command_that_there_is(writer: Render) -> None:
    """`billing migrate`, in the release's own image."""
    rendering = writer()
    program, name = _container(rendering)["command"]
    assert program == "billing"
    assert name in main.commands
    [of_writer] = rendering.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert _container(rendering)["image"] == of_writer["image"]


@pytest.mark.parametrize("scenario", WRITERS, ids=str)
def test_it_needs_nothing_of_the_release(charts: Charts, scenario: Scenario) -> None:
    """At the first install neither ConfigMap nor ServiceAccount are there before it."""
    rendering = charts.render(scenario.chart, scenario.values)
    made = {(each["kind"], each["metadata"]["name"]) for each in rendering.manifests}
    pod = _job(rendering)["spec"]["template"]["spec"]
    assert ("ServiceAccount", pod["serviceAccountName"]) not in made
    assert "envFrom" not in _container(rendering)
    assert not any("configMap" in volume for volume in pod["volumes"])


def test_an_account_that_is_there_is_taken(writer: Render) -> None:
    """Where the release makes none, migrations run as the one that is named."""
    rendering = writer(serviceAccount={"create": False, "name": "billing"})
    assert _job(rendering)["spec"]["template"]["spec"]["serviceAccountName"] == "billing"


def test_it_goes_past_the_pooler(charts: Charts) -> None:
    """Its URL is that of Postgres itself, and it is not told of a pooler: it would refuse."""
    [scenario] = [each for each in WRITERS if each.name == "pgbouncer"]
    rendering = charts.render(scenario.chart, scenario.values)
    told = environment(rendering, _container(rendering))
    assert "DATABASE_POOLER" not in told
    assert writer_settings.read_database(told).pooler is Pooler.NONE
    [url] = [each for each in _container(rendering)["env"] if each["name"] == "DATABASE_URL"]
    assert url["valueFrom"]["secretKeyRef"] == {"name": "billing", "key": "DATABASE_URL_OF_POSTGRES"}
    assert rendering.one("ConfigMap")["data"]["DATABASE_POOLER"] == "transaction"


def test_a_pooler_without_a_way_past_it_is_refused(writer: Render, refused: Refuse) -> None:
    """Unless nobody needs one: no migration and no backup."""
    pooled = {"DATABASE_POOLER": "transaction"}
    assert "secrets.directDatabaseUrl.key is not set" in refused(settings=pooled)
    assert "secrets.directDatabaseUrl.key" in refused(
        settings=pooled, migration={"enabled": False}, backup={"enabled": True}
    )
    assert writer(settings=pooled, migration={"enabled": False}).all("Job") == []


def test_its_limits_are_the_writers(writer: Render) -> None:
    """Timeouts of sessions come along, nothing else of the settings."""
    rendering = writer(settings={"DATABASE_LOCK_TIMEOUT": "3s", "STRIPE_MAX_RPS": 3})
    told = environment(rendering, _container(rendering))
    assert told["DATABASE_LOCK_TIMEOUT"] == "3s"
    assert "STRIPE_MAX_RPS" not in told
