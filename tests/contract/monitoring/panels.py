"""What the dashboard shows, row by row: `make dashboard` writes charts/billing-writer/files/dashboard.json from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

GREEN: Final = "green"
AMBER: Final = "orange"
RED: Final = "red"

Steps = tuple[tuple[float, str], ...]

# `$…` are the dashboard's variables; every rate is taken over what Grafana finds right for the resolution.
_I: Final = 'instance=~"$instance"'
_P: Final = 'project=~"$project"'
_R: Final = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `queries`: legend to expression; `steps`: from which value on which colour, green before the first."""

    title: str
    words: str
    unit: str
    queries: Mapping[str, str]
    kind: Literal["timeseries", "stat"] = "timeseries"
    steps: Steps = ()
    stacked: bool = False
    mappings: Mapping[str, str] = field(default_factory=dict)
    """A value to the word that is shown in its place."""
    silent: str = ""
    """Why it may show nothing in a system in good order; empty where it must always show something."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its panels; `across` of them stand side by side."""

    title: str
    panels: tuple[Panel, ...]
    across: int = 3
    height: int = 8


def _rate(metric: str, by: str, labels: str = _I) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[{_R}]))"


def _quantiles(metric: str, labels: str = _I, by: str = "") -> Mapping[str, str]:
    inner = f"le, {by}" if by else "le"
    prefix = f"{{{{{by}}}}} " if by else ""
    return {
        f"{prefix}{name}": f"histogram_quantile({share}, sum by ({inner}) (rate({metric}_bucket{{{labels}}}[{_R}])))"
        for name, share in (("p50", "0.5"), ("p99", "0.99"))
    }


_FAULTS: Final = "it counts faults, and there were none"
_UP: Final = {"0": "down", "1": "up"}

_GLANCE: Final = Row(
    "At a glance",
    (
        Panel("Alerts that fire", "Of this service. Each names its runbook.", "none",
            {"": 'count(ALERTS{alertname=~"Billing.*",alertstate="firing"}) or vector(0)'}, "stat", ((1, RED),)),
        Panel("Writers", "Writers that answer Prometheus. None: nobody can pay.", "none",
            {"": "count(billing_build_info) or vector(0)"}, "stat", ((0, RED), (1, GREEN))),
        Panel("Sidecars", "Sidecars that answer Prometheus.", "none",
            {"": "count(sidecar_build_info) or vector(0)"}, "stat", ((0, AMBER), (1, GREEN))),
        Panel("Sidecars behind", "Sidecars whose copy was not known to be current for 5 s: they say `stale`.", "none",
            {"": f"count(sidecar_age_seconds{{{_P}}} > 5) or vector(0)"}, "stat", ((1, AMBER), (3, RED))),
        Panel("Redis", "Whether Redis takes what is relayed. Down: sidecars follow the writer.", "none",
            {"": "max(billing_redis_up)"}, "stat", ((0, RED), (1, GREEN)), mappings=_UP),
        Panel("Stripe", "Whether Stripe answers. Down: nobody can pay, what was bought stays.", "none",
            {"": "1 - min(billing_stripe_away)"}, "stat", ((0, RED), (1, GREEN)), mappings=_UP),
        Panel("Events given up", "They wait for a person: `billing events list --status parked`.", "none",
            {"": "max(billing_events_parked)"}, "stat", ((1, RED),)),
        Panel("Oldest event", "How long the oldest event waits to be applied.", "s",
            {"": "max(billing_events_oldest_pending_seconds)"}, "stat", ((60, AMBER), (900, RED))),
        Panel("Paid until let in, p99", "From the receipt of a payment until a sidecar answers by it, in the last hour.", "s",
            {"": f"histogram_quantile(0.99, sum by (le) (rate(sidecar_propagation_seconds_bucket{{{_P}}}[1h])))"},
            "stat", ((0.25, AMBER), (1, RED))),
        Panel("Late, of the goal's 1 %", "Changes that took longer than a second in the last day. The goal is at most 1 %.",
            "percentunit", {"": f'1 - sum(rate(sidecar_propagation_seconds_bucket{{{_P},le=~"1|1\\\\.0"}}[1d]))'
                f" / sum(rate(sidecar_propagation_seconds_count{{{_P}}}[1d]))"}, "stat", ((0.005, AMBER), (0.01, RED))),
        Panel("Checks a second", "Answered by all sidecars.", "reqps",
            {"": f"sum(rate(sidecar_checks_total[{_R}]))"}, "stat"),
        Panel("Last backup", "How old the last good backup is.", "s",
            {"": "time() - (max(billing_backup_last_success_timestamp_seconds) > 0)"}, "stat",
            ((93_600, AMBER), (259_200, RED)), silent="no backup was ever made"),
    ), across=6, height=4,
)  # fmt: skip

_MONEY: Final = Row(
    "Money path: from the webhook to the answer",
    (
        Panel("Webhooks by outcome", "Stored ones are applied next; duplicates are Stripe's repetitions.", "reqps",
            {"{{outcome}}": _rate("billing_webhook_events_total", "outcome")}, stacked=True),
        Panel("Webhooks refused, by code", "`invalid_signature`: a wrong secret, or a stranger. `database_unavailable`: "
            "Stripe sends them again.", "reqps", {"{{code}}": _rate("billing_webhook_refused_total", "code")}, silent=_FAULTS),
        Panel("How late webhooks come", "From when it happened at Stripe, to the second, until it was received.", "s",
            _quantiles("billing_webhook_lag_seconds"), steps=((60, AMBER),)),
        Panel("Events worked off, by outcome", "`superseded`: something newer was known. `parked`: given up.", "ops",
            {"{{outcome}}": _rate("billing_pipeline_events_total", "outcome")}, stacked=True),
        Panel("Receipt until applied", "Within the writer: until the entitlements are committed.", "s",
            _quantiles("billing_pipeline_seconds"), steps=((1, AMBER), (5, RED))),
        Panel("Receipt until a sidecar answers by it", "What who pays waits for, by wall clocks. The goal: 99 % in 1 s.", "s",
            _quantiles("sidecar_propagation_seconds", _P, "project"), steps=((0.25, AMBER), (1, RED))),
        Panel("Events that wait", "As all writers together see it. Retrying: failed before, tried again.", "none",
            {"pending": "max(billing_events_pending)", "retrying": "max(billing_events_retrying)",
             "parked": "max(billing_events_parked)", "oldest, seconds": "max(billing_events_oldest_pending_seconds)"}),
        Panel("Objects at work", "Of each writer: that wait for a worker, and that wait for Stripe.", "none",
            {"{{instance}} worker": f"billing_pipeline_waiting{{{_I}}}",
             "{{instance}} Stripe": f"billing_pipeline_fetching{{{_I}}}"}),
        Panel("Put off, or nobody's", "Retries after a failure; what was paid and names no user.", "ops",
            {"retries": f"sum(rate(billing_pipeline_retries_total{{{_I}}}[{_R}]))",
             "nobody's {{kind}}": _rate("billing_apply_unassigned_total", "kind")}),
        Panel("Users who hold something", "A sudden fall: a catalogue edit, or a fault.", "none",
            {"{{project}}": f"max by (project) (billing_project_users{{{_P}}})"}),
        Panel("Subscriptions, active or trialing", "As Stripe has them.", "none",
            {"{{project}}": f"max by (project) (billing_active_subscriptions{{{_P}}})"}),
        Panel("Changes of entitlements", "Revisions committed a second. Negative after a restore.", "ops",
            {"{{project}}": f"deriv(max by (project) (billing_project_revision{{{_P}}})[5m:])"}),
    ),
)  # fmt: skip

_SIDECARS: Final = Row(
    "Sidecars",
    (
        Panel("Checks by outcome", "`unknown_feature`: a typo, or a catalogue not applied yet.", "reqps",
            {"{{outcome}}": _rate("sidecar_checks_total", "outcome")}, stacked=True),
        Panel("Time to answer a check", "Within the sidecar. Nearly all fall into the first bucket, 25 µs.", "s",
            _quantiles("sidecar_check_seconds"), steps=((0.001, AMBER), (0.01, RED))),
        Panel("Stale answers", "Answered from a copy that was not known to be current; the answer says so.", "reqps",
            {"{{instance}}": _rate("sidecar_stale_answers_total", "instance")}),
        Panel("Age of copies", "Since the copy was known to be current. Around a second is good.", "s",
            {"{{instance}} {{project}}": f"sidecar_age_seconds{{{_I},{_P}}}"}, steps=((5, AMBER), (60, RED))),
        Panel("Revisions behind", "What is committed and not in a copy yet, by two scrapes: some seconds' worth is normal.",
            "none", {"{{instance}} {{project}}": f"clamp_min(max by (project) (billing_project_revision{{{_P}}})"
                f" - on (project) group_right () sidecar_copy_revision{{{_I},{_P}}}, 0)"}),
        Panel("Copies followed by way of", "Redis, the writer, or nobody.", "none",
            {"{{mode}}": f"sum by (mode) (sidecar_mode{{{_I},{_P}}})"}, stacked=True),
        Panel("Loaded and complete", "Copies that are loaded, and those proven complete: there a miss is an answer.", "none",
            {"loaded": f"sum(sidecar_synced{{{_I},{_P}}})", "complete": f"sum(sidecar_copy_complete{{{_I},{_P}}})",
             "epochs {{project}}": f'count by (project) (count_values by (project) ("epoch", sidecar_copy_epoch{{{_P}}}))'}),
        Panel("Users in a copy", "The same in all sidecars of a project.", "none",
            {"{{project}}": f"max by (project) (sidecar_copy_users{{{_I},{_P}}})"}),
        Panel("Changes applied", "In all copies together.", "ops",
            {"{{project}}": _rate("sidecar_changes_applied_total", "project", f"{_I},{_P}")}),
        Panel("Loads and gaps", "Whole copies loaded, by source and reason; gaps filled; what failed of them.", "ops",
            {"load {{source}} {{reason}}": _rate("sidecar_loads_total", "source, reason", f"{_I},{_P}"),
             "gap {{source}}": _rate("sidecar_gaps_filled_total", "source", f"{_I},{_P}"),
             "failed": f"sum(rate(sidecar_load_failures_total{{{_I},{_P}}}[{_R}]))"}),
        Panel("Copies that differed, messages refused", "Should be nothing, always.", "ops",
            {"differed {{project}}": _rate("sidecar_digest_mismatches_total", "project", f"{_I},{_P}"),
             "refused {{kind}}": _rate("sidecar_refused_messages_total", "kind", f"{_I},{_P}"),
             "crashed {{task}}": _rate("sidecar_task_crashes_total", "task")}, silent=_FAULTS),
        Panel("How long the first load took", "Of each sidecar, by source.", "s",
            {"{{instance}} {{project}} {{source}}": f"sidecar_start_seconds{{{_I},{_P}}}"}, steps=((5, AMBER),)),
        Panel("Copies on disk", "Saved, or not; and those that were not taken at a start.", "ops",
            {"{{outcome}}": _rate("sidecar_copy_saves_total", "outcome", f"{_I},{_P}"),
             "refused {{kind}}": _rate("sidecar_refused_copies_total", "kind", f"{_I},{_P}")},
            silent="only with SIDECAR_SNAPSHOT_DIR"),
        Panel("Users asked of the writer", "Users that a copy does not know, while it is not proven complete.", "ops",
            {"{{outcome}}": _rate("sidecar_origin_questions_total", "outcome", f"{_I},{_P}")},
            silent="a complete copy asks nobody"),
        Panel("Event streams", "Open ones of each sidecar, and the events written to them.", "none",
            {"{{instance}}": f"sidecar_streams{{{_I}}}", "events {{event}}": _rate("sidecar_stream_events_total", "event"),
             "ended {{why}}": _rate("sidecar_streams_ended_total", "why")}, steps=((900, AMBER),)),
        Panel("Clock differences", "How far a sidecar's wall clock is ahead of the writer's. Beyond 2 s grants end at other "
            "times.", "s", {"{{instance}}": f"sidecar_clock_difference_seconds{{{_I},{_P}}}"}, steps=((2, RED),)),
        Panel("OpenFeature, all flags at once", "By outcome.", "reqps",
            {"{{outcome}}": _rate("sidecar_ofrep_bulk_evaluations_total", "outcome")}, silent="no client asks for all flags"),
        Panel("Agreement with an old logic", "Share of checks that answered what the app expected, while it switches over.",
            "percentunit", {"{{project}} {{feature}}":
                f'sum by (project, feature) (rate(sidecar_shadow_checks_total{{{_I},{_P},agreed="true"}}[{_R}]))'
                f" / sum by (project, feature) (rate(sidecar_shadow_checks_total{{{_I},{_P}}}[{_R}]))"},
            silent="no app is switching over"),
    ),
)  # fmt: skip

_REDIS: Final = Row(
    "Redis and the relay",
    (
        Panel("Revisions that wait for Redis", "Above 0 for more than moments: the relay is behind.", "none",
            {"{{project}}": f"max by (project) (billing_relay_lag_revisions{{{_P}}})"}, steps=((100, AMBER),)),
        Panel("Who relays", "Projects that each writer relays; together all of them.", "none",
            {"{{instance}}": f"billing_relay_leases{{{_I}}}", "projects": "count(count by (project) (billing_project_revision))"}),
        Panel("Changes told", "To Redis and sidecars.", "ops",
            {"{{project}}": _rate("billing_relay_published_total", "project", _P)}),
        Panel("Refills and repairs", "A refill after a restart is right. More: somebody deletes keys, or Redis evicts.", "ops",
            {"refill {{project}}": _rate("billing_relay_refills_total", "project", _P),
             "repair {{project}}": _rate("billing_cache_repairs_total", "project", _P)}),
        Panel("Keys found at Redis", "Of all reads, whoever's. Users who hold nothing have no key, so 100 % is not the goal.",
            "percentunit", {"found": f"sum(rate(billing_redis_keyspace_hits_total{{{_I}}}[{_R}]))"
                f" / (sum(rate(billing_redis_keyspace_hits_total{{{_I}}}[{_R}]))"
                f" + sum(rate(billing_redis_keyspace_misses_total{{{_I}}}[{_R}])))"}),
        Panel("Redis, epochs", "Redis as each writer finds it; epochs begun, which is right after a restore only.", "none",
            {"{{instance}}": f"billing_redis_up{{{_I}}}", "epoch {{cause}}": "sum by (cause) (billing_epoch_rises_total)"}),
    ),
)  # fmt: skip

_STRIPE: Final = Row(
    "Stripe",
    (
        Panel("Requests by outcome", "Each try counts. `unavailable` rising: Stripe, or the way there.", "reqps",
            {"{{outcome}}": _rate("billing_stripe_requests_total", "outcome")}, stacked=True),
        Panel("How long Stripe takes", "Mean of each operation.", "s",
            {"{{operation}}": f"{_rate('billing_stripe_request_seconds_total', 'operation')}"
                f" / {_rate('billing_stripe_requests_total', 'operation')}"}, steps=((2, AMBER),)),
        Panel("Waiting for their turn", "Payers above 0 for long: STRIPE_MAX_RPS is too low.", "none",
            {"{{urgency}}": f"sum by (urgency) (billing_stripe_waiting{{{_I}}})",
             "{{urgency}}, mean": _rate("billing_stripe_waited_seconds_total", "urgency")}),
        Panel("Limited by Stripe", "Answers 429, by the limit that Stripe names.", "reqps",
            {"{{limit}}": _rate("billing_stripe_limited_total", "limit")}, silent=_FAULTS),
        Panel("Stripe away", "1 while background work of a writer waits for Stripe.", "none",
            {"{{instance}}": f"billing_stripe_away{{{_I}}}"}, steps=((1, RED),)),
        Panel("Event list not read for", "About STRIPE_SWEEP_EVERY is right.", "s",
            {"": "min(billing_sweep_lag_seconds)"}, steps=((900, AMBER), (1800, RED))),
        Panel("Found on the list", "Events that no webhook brought; and how often the list was read.", "ops",
            {"found {{origin}}": _rate("billing_sweep_found_total", "origin"),
             "read {{outcome}}": _rate("billing_sweep_runs_total", "outcome")}),
        Panel("Objects fetched", "To be applied: events that do not carry all that is needed.", "ops",
            {"{{kind}}": _rate("billing_apply_fetches_total", "kind")}),
        Panel("Comparison with Stripe", "What nightly runs found in the last day, by finding.", "none",
            {"{{finding}} {{kind}}": f"sum by (finding, kind) (increase(billing_reconcile_findings_total{{{_I}}}[1d]))",
             "running": "max(billing_reconcile_running)"}),
        Panel("Last comparison", "How long ago it ended, and how long it took.", "s",
            {"ended ago": "time() - (max(billing_reconcile_last_finished_timestamp_seconds) > 0)",
             "took": "max(billing_reconcile_last_seconds)"}, steps=((93_600, AMBER),)),
    ), across=2,
)  # fmt: skip

_POSTGRES: Final = Row(
    "Postgres",
    (
        Panel("Connections", "Of each writer: at work, and how many it may open.", "none",
            {"{{instance}} {{pool}}": f"billing_database_pool_in_use{{{_I}}}",
             "{{instance}} {{pool}}, most": f"billing_database_pool_size{{{_I}}}"}),
        Panel("Waiting for a connection", "Above 0 for long: slow statements, or DATABASE_POOL_SIZE is too small.", "none",
            {"{{instance}} {{pool}}": f"billing_database_pool_waiting{{{_I}}}"}, steps=((1, AMBER),)),
        Panel("Found in the writer's own caches", "Keys and catalogues that needed no look into the database.", "percentunit",
            {"{{cache}}": f'sum by (cache) (rate(billing_cache_lookups_total{{{_I},outcome="hit"}}[{_R}]))'
                f" / {_rate('billing_cache_lookups_total', 'cache')}"}),
        Panel("Users computed again, failures", "Chunks that failed, and users who were left out.", "ops",
            {"chunks {{project}}": _rate("billing_recompute_failures_total", "project", _P),
             "users {{project}}": _rate("billing_recompute_users_failed_total", "project", _P)}, silent=_FAULTS),
        Panel("Age of backups", "Since the last good one, and since one was restored on trial.", "s",
            {"made": "time() - (max(billing_backup_last_success_timestamp_seconds) > 0)",
             "restored": "time() - (max(billing_backup_last_verified_timestamp_seconds) > 0)"},
            steps=((93_600, AMBER), (259_200, RED)), silent="no backup was ever made"),
        Panel("Size of the last backup", "It grows with what is sold; a sudden fall is worth a look.", "bytes",
            {"": "max(billing_backup_last_bytes)"}, silent="no backup was ever made"),
        Panel("Old rows removed", "By kind, where a period is set after which they go.", "ops",
            {"{{kind}}": _rate("billing_retention_removed_rows_total", "kind")}, silent="nothing was old enough"),
        Panel("Background crashes", "Work that was started again after a crash.", "ops",
            {"{{name}}": _rate("billing_background_crashes_total", "name")}, silent=_FAULTS),
    ),
)  # fmt: skip

_HTTP: Final = Row(
    "HTTP of the writer",
    (
        Panel("Requests by route", "As routes are declared.", "reqps",
            {"{{method}} {{route}}": _rate("billing_http_requests_total", "method, route")}, stacked=True),
        Panel("Errors of ours", "5xx by route and status. 503 with Stripe or Postgres away.", "reqps",
            {"{{route}} {{status}}": _rate("billing_http_requests_total", "route, status", f'{_I},status=~"5.."')},
            silent=_FAULTS),
        Panel("Refusals", "4xx by route and status.", "reqps",
            {"{{route}} {{status}}": _rate("billing_http_requests_total", "route, status", f'{_I},status=~"4.."')},
            silent="nobody asked wrongly"),
        Panel("How long answers take, p99", "By route. `changes` waits for something to tell, up to 25 s.", "s",
            {"{{route}}": "histogram_quantile(0.99, sum by (le, route) "
                f"(rate(billing_http_request_seconds_bucket{{{_I}}}[{_R}])))"}),
        Panel("Requests without a good key", "By the code that they were answered.", "reqps",
            {"{{code}}": _rate("billing_authentication_failures_total", "code")}, silent="everybody had a good key"),
        Panel("Requests by key", "Of apps and sidecars by project, and of admin keys.", "reqps",
            {"{{project}} {{app}}": _rate("billing_key_requests_total", "project, app", f"{_I},{_P}"),
             "admin {{key}}": _rate("billing_admin_key_requests_total", "key")}),
    ),
)  # fmt: skip

ROWS: Final = (_GLANCE, _MONEY, _SIDECARS, _REDIS, _STRIPE, _POSTGRES, _HTTP)
