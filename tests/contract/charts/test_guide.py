"""docs/helm.md: its values are taken, its templates render, its commands are there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import helm_python as helm
import pytest
import yaml

from tests.contract.charts import kubernetes, rules
from tests.contract.charts.rendering import Charts, Rendering, over
from tests.contract.charts.scenarios import of
from tests.contract.charts.values import CHARTS
from writer.cli import main

_ROOT = CHARTS.parent
_GUIDE = (_ROOT / "docs" / "helm.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(yaml|helm)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_KINDS = ("values of billing-writer", "values of an app", "Chart.yaml of an app", "templates/deployment.yaml of an app")


def _yaml(kind: str) -> list[str]:
    return [text for language, text in _BLOCK.findall(_GUIDE) if language and text.startswith(f"# {kind}\n")]


def _commands() -> Iterator[list[str]]:
    for language, text in _BLOCK.findall(_GUIDE):
        if not language:
            yield from (shlex.split(line.removeprefix("$ ")) for line in text.splitlines() if line.startswith("$ "))


def test_every_block_of_yaml_says_what_it_is() -> None:
    """So that none is passed over here."""
    blocks = [text.splitlines()[0].removeprefix("# ") for language, text in _BLOCK.findall(_GUIDE) if language]
    assert len(blocks) > 8
    assert sorted(set(blocks) - set(_KINDS)) == []


@pytest.mark.parametrize("text", _yaml(_KINDS[0]))
def test_values_of_the_writer_are_taken(charts: Charts, text: str) -> None:
    """Over the least that must be said they render to what Kubernetes takes and no rule forbids."""
    least = of("billing-writer", "minimal").values
    manifests = charts.render("billing-writer", over(least, helm.values_from_yaml(text))).manifests
    assert [fault for each in manifests for fault in kubernetes.faults(each, "1.34")] == []
    assert rules.faults(manifests) == []


@pytest.mark.parametrize("text", _yaml(_KINDS[1]))
def test_values_of_an_app_are_taken(charts: Charts, text: str) -> None:
    """The same in an app's chart."""
    least = of("example-app", "minimal").values
    manifests = charts.render("example-app", over(least, helm.values_from_yaml(text))).manifests
    assert [fault for each in manifests for fault in kubernetes.faults(each, "1.34")] == []
    assert rules.faults(manifests) == []


@pytest.fixture
def chart_of_the_guide(charts: Charts, tmp_path: Path) -> Path:
    """The app's chart as the guide writes it, its dependency built."""
    (tmp_path / "billing-sidecar").symlink_to(charts.folder / "billing-sidecar")
    folder = tmp_path / "notes"
    (folder / "templates").mkdir(parents=True)
    [about], [template] = _yaml(_KINDS[2]), _yaml(_KINDS[3])
    (folder / "Chart.yaml").write_text(about, encoding="utf-8")
    (folder / "templates" / "deployment.yaml").write_text(template, encoding="utf-8")
    helm.dependency_build(folder)
    return folder


def _rendered(folder: Path, **sidecar: str) -> Rendering:
    [values] = [helm.values_from_yaml(text) for text in _yaml(_KINDS[1]) if "projects:" in text]
    with helm.Chart.load(folder) as chart:
        return Rendering(chart.render(over(values, {"billing-sidecar": sidecar}), name="notes", namespace="apps"))


def test_one_line_gives_an_app_its_sidecar(chart_of_the_guide: Path) -> None:
    """The guide's own chart and values: a native sidecar, and the app is told where to ask."""
    pod = _rendered(chart_of_the_guide).one("Deployment")["spec"]["template"]["spec"]
    [sidecar], [app] = pod["initContainers"], pod["containers"]
    assert (sidecar["name"], sidecar["restartPolicy"]) == ("billing-sidecar", "Always")
    assert app["env"] == [{"name": "SIDECAR_URL", "value": "http://127.0.0.1:7070"}]
    assert [fault for m in _rendered(chart_of_the_guide).manifests for fault in kubernetes.faults(m, "1.34")] == []


def test_one_line_says_where_it_cannot_be(chart_of_the_guide: Path) -> None:
    """On an older cluster it would hold the app up for ever; the message names what to write instead."""
    with pytest.raises(helm.HelmError, match=r"billing-sidecar\.initContainers"):
        _rendered(chart_of_the_guide, kubeVersion="1.28.0")


def test_helms_commands_name_what_is_here() -> None:
    """Charts by their folders, the release by one name; `--set` is taken by the schema, or shown to be refused."""
    commands = [each for each in _commands() if each[0] == "helm"]
    assert len(commands) > 3
    assert {each[2] for each in commands} == {"billing-writer"}
    for command in commands:
        assert command[1] in {"install", "upgrade", "test", "template"}
        assert all((_ROOT / each / "Chart.yaml").is_file() for each in command if each.startswith("charts/"))


def test_the_refusal_is_as_it_is_written(charts: Charts) -> None:
    """What the guide shows of a mistyped value is what Helm says."""
    [expression] = [each[each.index("--set") + 1] for each in _commands() if "replicass=3" in each]
    values = over(of("billing-writer", "minimal").values, helm.parse_set_string(expression))
    with pytest.raises(helm.HelmValuesError) as caught:
        charts.chart("billing-writer").validate_schema(values)
    assert "- at '': additional properties 'replicass' not allowed" in str(caught.value)
    assert "- at '': additional properties 'replicass' not allowed" in _GUIDE


def test_the_restore_is_rendered_alone(charts: Charts) -> None:
    """The template that the guide shows gives that one Job, of the file that it names."""
    [command] = [each for each in _commands() if each[1] == "template"]
    asked = helm.parse_set_string(command[command.index("--set") + 1])
    rendering = charts.render("billing-writer", over(of("billing-writer", "backup").values, asked))
    [manifest] = Rendering({"": rendering.files[command[command.index("--show-only") + 1]]}).manifests
    assert manifest["kind"] == "Job"
    [container] = manifest["spec"]["template"]["spec"]["containers"]
    assert container["command"][2].endswith(f"/{asked['restore']['file']}")


def test_an_upgrades_expression_is_taken(charts: Charts) -> None:
    """`--set image.tag=…` over the least that must be said."""
    [expression] = [each[each.index("--set") + 1] for each in _commands() if each[1] == "upgrade"]
    assert charts.render(
        "billing-writer", over(of("billing-writer", "minimal").values, helm.parse_set_string(expression))
    ).manifests


def test_kubernetes_objects_are_called_as_the_chart_calls_them(charts: Charts) -> None:
    """`deployment/…`, `cronjob/…` and so on, of the release that is installed."""
    chart = charts.chart("billing-writer")
    asked = {"backup": {"enabled": True}, "restore": {"file": "x.dump"}}
    values = over(of("billing-writer", "minimal").values, asked)
    manifests = Rendering(chart.render(values, name="billing-writer", namespace="billing")).manifests
    made = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in manifests}
    named = set(re.findall(r"\b((?:deployment|service|cronjob|job)/billing-[a-z-]+)", _GUIDE))
    assert len(named) > 3
    assert named <= made
    assert "http://billing-writer.billing.svc:8000" in _GUIDE


def test_billings_commands_are_there() -> None:
    """What is run in a writer's pod is a command of `billing`, with options that it has."""
    run = [each[each.index("--") + 1 :] for each in _commands() if "exec" in each]
    assert len(run) > 2
    for program, *words in run:
        assert program == "billing"
        command: click.Command = main
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_values_that_are_named_exist() -> None:
    """What the guide calls by its path is a value of one of the charts."""
    known: set[str] = set()

    def collect(values: dict[str, Any], above: str) -> None:
        for name, value in values.items():
            known.add(f"{above}{name}")
            if isinstance(value, dict):
                collect(value, f"{above}{name}.")

    for chart in ("billing-writer", "billing-sidecar"):
        collect(yaml.safe_load((CHARTS / chart / "values.yaml").read_text(encoding="utf-8")), "")
    groups = {name for name in known if "." not in name}
    named = set(re.findall(r"`([A-Za-z]+(?:\.[A-Za-z_]+)+)(?::[^`]*)?`", _GUIDE))
    mentioned = {each for each in named if each.split(".")[0] in groups} - {"tls.crt", "tls.key"}
    assert len(mentioned) > 8
    assert sorted(mentioned - known) == []
