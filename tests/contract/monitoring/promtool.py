"""promtool, Prometheus's own tool: what it says of rules, and of series given to them."""

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.contract.monitoring.rules import Rule
from tests.support.tools import TOOLS

_SECONDS: Final = 50


def run(*arguments: str | Path) -> str:
    """What promtool said; AssertionError with that where it found a fault."""
    binary = TOOLS["promtool"].find()
    assert binary is not None
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def check_expressions(expressions: Iterable[str], folder: Path) -> None:
    """Let it parse expressions, as rules that record them."""
    rules = [{"record": f"parsed:{place}", "expr": one} for place, one in enumerate(expressions)]
    file = folder / "expressions.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "expressions", "rules": rules}]}), encoding="utf-8")
    run("check", "rules", file)


def write_test(rule: Rule, cases: Mapping[str, Any], folder: Path) -> Path:
    """A file that `promtool test rules` takes: one alert, its cases, and what then fires."""
    rules = folder / f"{rule.name}.rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "alone", "rules": [dict(rule.raw)]}]}), encoding="utf-8")
    tests = [
        _test(rule, kind, case, cases.get("every", "1m"))
        for kind in ("fires", "quiet")
        for case in (cases[kind] if isinstance(cases[kind], list) else [cases[kind]])
    ]
    file = folder / f"{rule.name}.test.yaml"
    content = {"rule_files": [rules.name], "evaluation_interval": cases.get("every", "1m"), "tests": tests}
    file.write_text(yaml.safe_dump(content, sort_keys=False, width=1000), encoding="utf-8")
    return file


def _test(rule: Rule, kind: str, case: Mapping[str, Any], every: str) -> dict[str, Any]:
    labels = case["with"] if kind == "fires" else []
    return {
        "name": f"{rule.name} {kind}",
        "interval": every,
        "input_series": [{"series": name, "values": str(values)} for name, values in case["series"].items()],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertname="{rule.name}",alertstate="firing"}}',
                "eval_time": case["at"],
                "exp_samples": [{"labels": _alert(rule, one), "value": 1} for one in labels],
            }
        ],
    }


def _alert(rule: Rule, labels: str) -> str:
    match = re.fullmatch(r"\{(.*)\}", labels)
    assert match is not None, labels
    more = f",{match.group(1)}" if match.group(1) else ""
    return f'ALERTS{{alertname="{rule.name}",alertstate="firing",severity="{rule.severity}"{more}}}'
