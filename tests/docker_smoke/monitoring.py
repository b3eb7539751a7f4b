"""The profile `monitoring`: Prometheus finds writer and sidecar, and takes the rules."""

from typing import Final

import orjson

from tests.docker_smoke.engine import Engine
from tests.docker_smoke.table import Table

API: Final = "http://127.0.0.1:9090/api/v1"
UP: Final = f"curl -sf '{API}/query?query=up==1' | grep billing-writer | grep -q billing-sidecar"


def look(engine: Engine, table: Table) -> None:
    """Start Prometheus; and Grafana, where its official image is at hand."""
    with table.row("monitoring: scraped") as row:
        engine.must("docker compose --profile monitoring up --detach prometheus")
        engine.must(f"for each in $(seq 60); do {UP} && break; sleep 1; done")
        found = orjson.loads(engine.must(f"curl -sf '{API}/query?query=up==1'"))
        jobs = sorted({one["metric"]["job"] for one in found["data"]["result"]})
        if jobs != ["billing-sidecar", "billing-writer"]:
            row.fail(f"up are: {', '.join(jobs)}")
        row.note = ", ".join(jobs)
    with table.row("monitoring: rules") as row:
        groups = orjson.loads(engine.must(f"curl -sf {API}/rules"))["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        bad = [rule["name"] for rule in rules if rule["health"] == "err"]
        if bad or not rules:
            row.fail(f"{len(rules)} rules, in error: {bad}")
        row.note = f"{len(rules)} rules in {len(groups)} groups"
    if "GRAFANA_IMAGE" in engine.variables or "BASE_IMAGE" not in engine.variables:
        with table.row("monitoring: grafana") as row:
            engine.must("docker compose --profile monitoring up --detach --wait grafana", 300)
            found = orjson.loads(engine.must("curl -sf http://127.0.0.1:3000/api/search"))
            if not found:
                row.fail("no dashboard is provisioned")
            row.note = ", ".join(one["title"] for one in found)
