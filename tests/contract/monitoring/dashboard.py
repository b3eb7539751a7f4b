"""Writes charts/billing-writer/files/dashboard.json from panels.py: `make dashboard`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from tests.contract.monitoring.panels import AMBER, GREEN, ROWS, Panel, Row

FILES: Final = Path(__file__).resolve().parents[3] / "charts" / "billing-writer" / "files"
FILE: Final = FILES / "dashboard.json"
WIDTH: Final = 24
"""Columns of Grafana's grid."""

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_SCHEMA: Final = 39


def dashboard() -> dict[str, Any]:
    """The whole document, as Grafana imports it."""
    return {
        "annotations": {"list": [_alerts()]},
        "description": "Billing and entitlements: writers, sidecars, and what lies between. Made by `make dashboard`.",
        "editable": True,
        "graphTooltip": 1,
        "id": None,
        "panels": list(_panels()),
        "refresh": "30s",
        "schemaVersion": _SCHEMA,
        "tags": ["billing"],
        "templating": {"list": list(_variables())},
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "title": "Billing and entitlements",
        "uid": "billing-entitlements",
        "version": 1,
    }


def rendered() -> str:
    """The file's text."""
    return orjson.dumps(dashboard(), option=orjson.OPT_INDENT_2).decode() + "\n"


def with_values(expression: str, interval: str = "5m") -> str:
    """As Grafana sends it where everything is chosen."""
    return expression.replace("$__rate_interval", interval).replace("$project", ".*").replace("$instance", ".*")


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}
    yield _values("project", "Project", "label_values(billing_project_revision, project)")
    yield _values("instance", "Instance", 'label_values({__name__=~"billing_build_info|sidecar_build_info"}, instance)')


def _values(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": "values"},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "expr": 'ALERTS{alertname=~"Billing.*",alertstate="firing"}',
        "iconColor": "red",
        "titleFormat": "{{alertname}}",
        "textFormat": "{{project}} {{instance}}",
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for row in ROWS:
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": top},
            "panels": [],
        }
        number, top = number + 1, top + 1
        for place, panel in enumerate(row.panels):
            yield {"id": number, "gridPos": _position(row, place, top), **_panel(panel)}
            number += 1
        top += row.height * -(-len(row.panels) // row.across)


def _position(row: Row, place: int, top: int) -> dict[str, int]:
    width = WIDTH // row.across
    return {
        "h": row.height,
        "w": width,
        "x": width * (place % row.across),
        "y": top + row.height * (place // row.across),
    }


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.words,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _stat_options() if panel.kind == "stat" else _series_options(),
        "targets": [
            {
                "datasource": _SOURCE,
                "editorMode": "code",
                "expr": expression,
                "legendFormat": legend or "__auto",
                "range": panel.kind != "stat",
                "instant": panel.kind == "stat",
                "refId": chr(ord("A") + place),
            }
            for place, (legend, expression) in enumerate(panel.queries.items())
        ],
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    below = GREEN if not panel.steps or panel.steps[0][0] > 0 else panel.steps[0][1]
    above = [(value, colour) for value, colour in panel.steps if value > 0]
    steps: list[dict[str, Any]] = [{"color": below, "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in above]
    shown: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": _mappings(panel),
    }
    if panel.unit in {"none", "reqps", "ops", "s", "percentunit", "bytes"} and panel.kind == "timeseries":
        shown["min"] = 0 if "Negative" not in panel.words and "ahead" not in panel.words else None
        shown["custom"] = _drawn(panel)
    return shown


def _mappings(panel: Panel) -> list[dict[str, Any]]:
    if not panel.mappings:
        return []
    options = {value: {"text": word, "index": place} for place, (value, word) in enumerate(panel.mappings.items())}
    return [{"type": "value", "options": options}]


def _drawn(panel: Panel) -> dict[str, Any]:
    return {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 20 if panel.stacked else 5,
        "showPoints": "never",
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if any(colour == AMBER for _, colour in panel.steps) else "off"},
    }


def _stat_options() -> dict[str, Any]:
    return {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "center",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value",
    }


def _series_options() -> dict[str, Any]:
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


if __name__ == "__main__":
    FILE.write_text(rendered(), encoding="utf-8")
