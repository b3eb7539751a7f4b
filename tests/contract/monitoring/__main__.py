"""`make monitoring-check`: every panel and every alert asked of a real Prometheus beside a running stack."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sandbox.interrupt import Interrupted, run
from sandbox.processes import ProcessError
from sandbox.stack import Stack, StackConfig
from tests.contract.monitoring import rules
from tests.contract.monitoring.breaking import FAULTS, unseen
from tests.contract.monitoring.dashboard import with_values
from tests.contract.monitoring.living import live
from tests.contract.monitoring.panels import ROWS
from tests.contract.monitoring.prometheus import Prometheus, PrometheusConfig

LONGEST_S: Final = 540
SETTLED_S: Final = 12
"""The slowest gauges are counted every ten seconds."""
WINDOW: Final = "1m"

SILENT: Final = {
    "billing_apply_unassigned_total": "it counts what is nobody's",
    "billing_background_crashes_total": "it counts faults",
    "billing_backup_last_bytes": "the stack makes no backups",
    "billing_backup_last_success_timestamp_seconds": "the stack makes no backups",
    "billing_backup_last_verified_timestamp_seconds": "the stack makes no backups",
    "billing_epoch_rises_total": "nothing was restored",
    'billing_http_requests_total{route="/ready",status="503"}': "the writer was always ready",
    'billing_http_requests_total{status="5.."}': "it counts faults",
    "billing_reconcile_findings_total": "events told of everything",
    "billing_recompute_failures_total": "it counts faults",
    "billing_recompute_users_failed_total": "it counts faults",
    "billing_stripe_limited_total": "it counts faults",
    'billing_stripe_requests_total{outcome="refused"}': "it counts faults",
    "billing_sweep_found_total": "every webhook arrived",
    'billing_webhook_refused_total{code="database_unavailable"}': "the database was always there",
    'sidecar_checks_total{outcome="internal_error|not_synced|general"}': "it counts faults",
    "sidecar_copy_saves_total": "the stack's sidecars keep nothing on disk",
    "sidecar_digest_mismatches_total": "it counts faults",
    "sidecar_gaps_filled_total": "no message was lost",
    "sidecar_load_failures_total": "it counts faults",
    "sidecar_refused_copies_total": "it counts faults",
    "sidecar_refused_messages_total": "it counts faults",
    'sidecar_shadow_checks_total{agreed="false"}': "the app agreed",
    "sidecar_streams_ended_total": "readers kept up",
    "sidecar_task_crashes_total": "it counts faults",
}
"""What an alert asks for and a stack in good order need not tell, by how the selector begins; and why."""


async def _check() -> int:
    found = 0
    async with _stack() as (stack, prometheus):
        await live(stack)
        await asyncio.sleep(SETTLED_S)
        for title, asked, samples, reason in await _panels(prometheus):
            found += _tell(title, asked, samples, reason)
        for title, asked, samples, reason in await _alerts(prometheus):
            found += _tell(title, asked, samples, reason)
        found += await _health(prometheus)
        for fault in FAULTS:
            missing = await unseen(stack, prometheus, fault)
            _say(f"{'UNSEEN ' if missing else '  seen'}  {fault.words}: {', '.join(sorted(missing or fault.alerts))}")
            found += len(missing)
    return found


@asynccontextmanager
async def _stack() -> AsyncIterator[tuple[Stack, Prometheus]]:
    folder = Path(tempfile.mkdtemp(prefix="billing-monitoring-"))
    try:
        config = StackConfig(folder / "logs", writer_settings={"STRIPE_SWEEP_EVERY": "3s"})
        async with Stack(config, lambda text: _say(f"  {text}")) as stack:
            sidecars = [urlsplit(app.sidecar.management.url).netloc for app in stack.apps.values()]
            targets = {"billing-writer": [urlsplit(stack.writer_url).netloc], "billing-sidecar": sidecars}
            setting = PrometheusConfig(targets, rules.FILE, folder / "prometheus.log")
            async with Prometheus(setting, stack.session) as prometheus:
                yield stack, prometheus
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _panels(prometheus: Prometheus) -> list[tuple[str, str, int, str]]:
    asked = []
    for row in ROWS:
        for panel in row.panels:
            for legend, expression in panel.queries.items():
                samples = await prometheus.query(with_values(expression, WINDOW))
                title = f"{row.title} / {panel.title} / {legend or '-'}"
                asked.append((title, expression, len(_numbers(samples)), panel.silent or _reason(expression)))
    return asked


async def _alerts(prometheus: Prometheus) -> list[tuple[str, str, int, str]]:
    """Of each alert every selector: what it compares must be there, or there is a reason why it is not."""
    asked = []
    for rule in rules.read():
        await prometheus.query(rule.expression)
        for selector in dict.fromkeys(rules.selectors(rule.expression)):
            samples = await prometheus.query(selector)
            asked.append((rule.name, selector, len(samples), _reason(selector)))
    return asked


def _numbers(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [sample for sample in samples if sample["value"][1] != "NaN"]


def _reason(expression: str) -> str:
    """Why all that an expression asks for may be missing; empty where something of it may not."""
    reasons = [_of_selector(selector) for selector in rules.selectors(expression)]
    return "; ".join(dict.fromkeys(reasons)) if reasons and all(reasons) else ""


def _of_selector(selector: str) -> str:
    return next((why for beginning, why in SILENT.items() if _fits(beginning, selector)), "")


def _fits(beginning: str, selector: str) -> bool:
    """Whether name and each matcher of `beginning` stand in the selector."""
    name, _, matchers = beginning.partition("{")
    if selector.partition("{")[0] != name:
        return False
    plain = selector.replace("=~", "=")
    return all(matcher in plain for matcher in filter(None, matchers.rstrip("}").split(",")))


def _tell(title: str, asked: str, samples: int, reason: str) -> int:
    if samples:
        _say(f"  {samples:4d}  {title}")
        return 0
    if reason:
        _say(f"  none  {title}: {reason}")
        return 0
    _say(f"EMPTY   {title}: {' '.join(asked.split())}")
    return 1


async def _health(prometheus: Prometheus) -> int:
    told = await prometheus.rules()
    ill = [rule for rule in told if rule["health"] != "ok"]
    for rule in ill:
        _say(f"ILL     {rule['name']}: {rule.get('lastError')}")
    begun = sorted(f"{rule['name']} {rule['state']}" for rule in told if rule["state"] != "inactive")
    _say(f"{len(told)} alerts evaluated, {len(ill)} ill; not inactive: {', '.join(begun) or 'none'}")
    return len(ill)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program of its own, which talks to a person in a terminal


async def _bounded() -> int:
    async with asyncio.timeout(LONGEST_S):
        return await _check()


def main() -> None:
    """Exit status 1 where something is empty that should not be, or Prometheus takes a rule for wrong."""
    _say("A stack with some life on it, Prometheus beside it; how many series each panel and each alert's parts have:")
    try:
        found = run(_bounded())
    except Interrupted:
        sys.exit("make monitoring-check: interrupted")
    except (ProcessError, TimeoutError) as error:
        sys.exit(f"make monitoring-check: {type(error).__name__} {error}")
    _say("all of it has data, or a reason why not, and every fault was seen" if not found else f"{found} faults")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
