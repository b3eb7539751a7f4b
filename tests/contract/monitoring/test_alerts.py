"""Every alert fires when it should and only then, names what exists, and leads to a page that says what to do."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.contract.monitoring import promtool, rules
from tests.contract.monitoring.rules import Rule

RULES: Final = rules.read()
RUNBOOKS: Final = rules.ROOT / "docs" / "runbooks"
SECTIONS: Final = ("What it means", "What users feel", "Look", "Mend", "Wake somebody", "Why this threshold")
by_name = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@pytest.fixture(scope="module")
def cases() -> Any:
    """Series for each alert."""
    return yaml.safe_load(rules.CASES.read_text(encoding="utf-8"))


def test_names_are_given_once() -> None:
    """No two alerts have one name, and all of them can be told from other services'."""
    names = [rule.name for rule in RULES]
    assert sorted(set(names)) == sorted(names)
    assert all(name.startswith("Billing") for name in names)


@by_name
def test_an_alert_says_what_to_do(rule: Rule) -> None:
    """It has one of two severities, words, and a runbook that speaks of it, from what it means to why its threshold."""
    assert rule.severity in {"page", "ticket"}
    assert rule.annotations["summary"]
    assert rule.annotations["description"]
    text = rule.runbook.read_text(encoding="utf-8")
    assert f"`{rule.name}`" in text
    assert rule.severity in next(line for line in text.splitlines() if f"`{rule.name}`" in line)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == list(SECTIONS)


def test_every_runbook_is_of_an_alert() -> None:
    """No page is left of an alert that was taken away, and README.md there lists all of them."""
    pages = {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}
    assert pages == {rule.runbook.name for rule in RULES}
    listed = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert [rule.name for rule in RULES if f"`{rule.name}`" not in listed] == []
    assert [page for page in sorted(pages) if f"({page})" not in listed] == []


async def test_alerts_ask_for_what_there_is() -> None:
    """Each metric in an expression is one of the code's, with the labels that are asked of it."""
    known = await rules.known()
    found = {rule.name: list(rules.faults(rule.expression, known)) for rule in RULES}
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_every_alert_has_its_cases(cases: Any) -> None:
    """Series that make it fire, and series that must not."""
    assert list(cases) == [rule.name for rule in RULES]
    assert [name for name, case in cases.items() if set(case) - {"every"} != {"fires", "quiet"}] == []


@pytest.mark.needs("promtool")
def test_prometheus_takes_the_file() -> None:
    """`promtool check rules`: expressions and templates are right."""
    assert f"{len(RULES)} rules found" in promtool.run("check", "rules", rules.FILE)


@pytest.mark.needs("promtool")
def test_alerts_fire_when_they_should(cases: Any, tmp_path: Path) -> None:
    """`promtool test rules`: each fires on its series with its labels, and keeps silent on those beside them."""
    promtool.run("test", "rules", *(promtool.write_test(rule, cases[rule.name], tmp_path) for rule in RULES))
