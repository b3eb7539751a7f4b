"""What belongs to the release as a whole: account, settings, test, and what an operator is told."""

from typing import Any

import pytest

from tests.contract.charts.conftest import Render
from tests.contract.charts.rendering import Charts
from tests.contract.charts.scenarios import ALL, WRITERS, Scenario


def test_the_account_has_no_token(writer: Render) -> None:
    """Neither the account nor any pod gives one out."""
    rendering = writer(backup={"enabled": True}, reconcile={"enabled": True})
    account = rendering.one("ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    names = {pod["spec"]["serviceAccountName"] for _, pod in rendering.pods()}
    assert names == {account["metadata"]["name"], "default"}
    assert all(pod["spec"]["automountServiceAccountToken"] is False for _, pod in rendering.pods())


def test_an_account_of_ones_own_is_taken(writer: Render) -> None:
    """None is made then; with annotations where one is made."""
    rendering = writer(serviceAccount={"create": False, "name": "billing"})
    assert rendering.all("ServiceAccount") == []
    assert {pod["spec"]["serviceAccountName"] for _, pod in rendering.pods()} == {"billing"}
    annotated = writer(serviceAccount={"annotations": {"iam": "billing"}}).one("ServiceAccount")
    assert annotated["metadata"]["annotations"] == {"iam": "billing"}


def test_plain_settings_stand_in_a_configmap(writer: Render) -> None:
    """Only those that are said, as texts; numbers without a fraction."""
    data = writer(settings={"STRIPE_MAX_RPS": 20, "LOG_LEVEL": "INFO"}).one("ConfigMap")["data"]
    assert data == {"WRITER_LISTEN": "0.0.0.0:8000", "STRIPE_MAX_RPS": "20", "LOG_LEVEL": "INFO"}


def test_opentelemetrys_own_variables_are_let_through(writer: Render) -> None:
    """Any of them, as texts."""
    settings = {"OTEL_TRACES_SAMPLER_ARG": 0.25, "OTEL_SDK_DISABLED": False}
    data = writer(settings=settings).one("ConfigMap")["data"]
    assert (data["OTEL_TRACES_SAMPLER_ARG"], data["OTEL_SDK_DISABLED"]) == ("0.25", "false")


def test_helms_test_asks_through_the_service(writer: Render) -> None:
    """Whether a writer is ready, at the Service's name and port; with a deadline."""
    rendering = writer(service={"port": 80})
    pod, service = rendering.one("Pod"), rendering.one("Service")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["containers"][0]["command"][-1] == f"http://{service['metadata']['name']}:80/ready"
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["activeDeadlineSeconds"] == 60


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_everything_is_in_the_releases_namespace(charts: Charts, scenario: Scenario) -> None:
    """Also with tools that apply what was rendered."""
    for manifest in charts.render(scenario.chart, scenario.values).manifests:
        assert manifest["metadata"]["namespace"] == "billing", manifest["kind"]


@pytest.mark.parametrize("scenario", WRITERS, ids=str)
def test_an_upgrade_renders_the_same(charts: Charts, scenario: Scenario) -> None:
    """Nothing is drawn at random, so an upgrade that changes nothing restarts nobody."""
    chart = charts.chart(scenario.chart)
    again = chart.render(scenario.values, name="prod", namespace="billing", is_install=False, is_upgrade=True)
    first = charts.render(scenario.chart, scenario.values).files
    assert {name.removeprefix("billing-writer/"): text for name, text in again.items()} == first


def test_notes_tell_what_comes_next(writer: Render) -> None:
    """Commands with the release's own names: readiness, logs, console, the first key, the sidecar's address."""
    notes = writer().notes
    for said in (
        "rollout status deployment/prod-billing-writer",
        "helm -n billing test prod",
        "port-forward service/prod-billing-writer 8000",
        "billing project create PROJECT",
        "http://prod-billing-writer.billing.svc:8000",
        "2 writers open up to 20 connections",
    ):
        assert said in notes


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "its webhooks must reach /api/v1/webhooks/stripe"),
        ({"settings": {"STRIPE_POLL": "2s"}}, "polled every 2s"),
        (
            {"ingress": {"enabled": True, "hosts": [{"host": "billing.example.com"}]}},
            "billing stripe setup --url https://billing.example.com/api/v1/webhooks/stripe",
        ),
        (
            {"ingress": {"enabled": True, "hosts": [{"host": "billing.example.com"}]}},
            "settings.TRUSTED_PROXIES is empty",
        ),
        (
            {"ingress": {"enabled": True, "hosts": [{"host": "billing.example.com", "paths": [{"path": "/"}]}]}},
            "billing.example.com leads to everything",
        ),
        ({"replicas": 1}, "One writer is an outage"),
        ({"migration": {"enabled": False}}, "Nobody migrates the database"),
        ({"backup": {"enabled": True}, "restore": {"file": "x.dump"}}, "restore.file is set"),
        ({}, "Nothing here backs up Postgres"),
        ({}, "Nothing here is watched"),
        ({"networkPolicy": {"enabled": True}}, "Only the ports of networkPolicy are open"),
        (
            {"autoscaling": {"enabled": True, "maxReplicas": 9}, "settings": {"DATABASE_POOL_SIZE": 20}},
            "2 to 9 writers open up to 180 connections",
        ),
    ],
)
def test_notes_warn(writer: Render, values: dict[str, Any], said: str) -> None:
    """Of what the operator has still to do, and only then."""
    assert said in writer(**values).notes


def test_notes_do_not_warn_for_nothing(charts: Charts) -> None:
    """A production with everything set is told none of it."""
    [production] = [each for each in WRITERS if each.name == "production"]
    notes = charts.render(production.chart, production.values).notes
    for said in (
        "Nothing here",
        "leads to everything",
        "Nobody migrates",
        "One writer",
        "TRUSTED_PROXIES",
        "must reach",
    ):
        assert said not in notes
