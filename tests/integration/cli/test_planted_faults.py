"""Six faults, each found and mended by commands alone; what the customer holds afterwards is what was paid for."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support import planted_faults as faults
from tests.support.planted_faults import Planted, Site
from tests.support.site import running_site
from tests.support.waiting import eventually
from writer.cli import main

ROOT = Path(__file__).resolve().parents[3]
REASON = ("--reason", "ticket 4711")


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody with a shell, and nothing else."""

    site: Site
    environment: Mapping[str, str]

    async def run(self, *words: str, stdin: str | None = None) -> Result:
        """One command, whatever comes of it."""
        return await asyncio.to_thread(CliRunner().invoke, main, words, env=self.environment, input=stdin)

    async def json(self, *words: str, stdin: str | None = None) -> Any:
        """The answer of a command that must work."""
        done = await self.run(*words, "--json", stdin=stdin)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    async def explain(self, planted: Planted) -> Any:
        """What `billing explain` says of the fault's user and feature."""
        return await self.json("explain", planted.user, self.site.project, planted.feature)

    async def causes(self, planted: Planted) -> dict[str, str]:
        """Why it is denied: the code of each cause, by what it lies with."""
        (feature,) = (await self.explain(planted))["features"]
        assert not feature["allowed"]
        return {cause["object_id"]: cause["code"] for cause in feature["causes"]}

    async def sees_it_mended(self, planted: Planted) -> None:
        """By the writer and by the app's own sidecar the user may; explain names the source that counts."""
        assert (await faults.check(self.site, planted.user, planted.feature))["allowed"]
        (feature,) = (await self.explain(planted))["features"]
        assert (feature["allowed"], feature["causes"]) == (True, [])
        assert [source["fate"] for source in feature["sources"]].count("counts") == 1
        await eventually(lambda: self._may(planted))

    async def _may(self, planted: Planted) -> bool:
        return bool((await self.site.sidecar.check(planted.user, planted.feature))["allowed"])


@pytest.fixture
async def operator(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Operator]:
    """With a site that runs."""
    async with running_site(database_url, redis_url, tmp_path) as running:
        yield Operator(running.site, running.environment)


async def _subscription_without_user(operator: Operator) -> None:
    planted = await faults.subscription_without_user(operator.site)
    assert (await operator.causes(planted))[planted.object_id] == "nobodys_candidate"
    (nobodys,) = await operator.json("unassigned", "--project", operator.site.project)
    assert nobodys["id"] == planted.object_id
    done = await operator.run("claim", planted.object_id, planted.user, *REASON)
    assert done.exit_code == 0, done.output
    await operator.sees_it_mended(planted)


async def _parked_event(operator: Operator) -> None:
    planted = await faults.parked_event(operator.site)
    assert (await operator.causes(planted))[planted.object_id] == "parked_event"
    told = (await operator.run("explain", planted.user, operator.site.project, planted.feature)).stdout
    assert f"billing events replay {planted.object_id} --wait 10" in told
    done = await operator.run("events", "replay", planted.object_id, "--wait", "20", *REASON)
    assert done.exit_code == 0, done.output
    await operator.sees_it_mended(planted)


async def _feature_removed(operator: Operator) -> None:
    planted = await faults.feature_removed(operator.site)
    (code,) = set((await operator.causes(planted)).values())
    assert code == "feature_removed"
    whole = json.dumps({"version": 1, "projects": {operator.site.project: planted.catalogue}})
    plan = await operator.run("catalog", "plan", "-", stdin=whole)
    assert f"gains `{planted.feature}`" in plan.stdout
    done = await operator.run("catalog", "apply", "-", "--yes", stdin=whole)
    assert done.exit_code == 0, done.output
    await operator.sees_it_mended(planted)


async def _expired_grant(operator: Operator) -> None:
    planted = await faults.expired_grant(operator.site)
    assert (await operator.causes(planted))[planted.object_id] == "source_expired"
    done = await operator.run("grant", planted.user, operator.site.project, planted.feature, *REASON)
    assert done.exit_code == 0, done.output
    await operator.sees_it_mended(planted)


async def _refunded_purchase(operator: Operator) -> None:
    planted = await faults.refunded_purchase(operator.site)
    assert (await operator.causes(planted))[planted.object_id] == "source_refunded"
    (feature,) = (await operator.explain(planted))["features"]
    (source,) = feature["sources"]
    assert (source["came"]["event"]["type"], source["went"]["event"]["type"]) == (
        "checkout.session.completed",
        "refund.created",
    )
    told = (await operator.run("explain", planted.user, operator.site.project, planted.feature)).stdout
    assert "paid 500 usd on" in told
    assert "refund re_" in told
    again = ("preview", planted.user, operator.site.project, "--buy", operator.site.prices.purchase)
    assert (await operator.run(*again)).stdout.splitlines()[-1].split()[-1] == "gain"
    foreseen = await operator.json(*again)
    assert [one["change"] for one in foreseen["features"] if one["feature"] == planted.feature] == ["gain"]
    done = await operator.run("grant", planted.user, operator.site.project, planted.feature, *REASON)
    assert done.exit_code == 0, done.output
    await operator.sees_it_mended(planted)


async def _sidecar_behind(operator: Operator) -> None:
    planted = await faults.sidecar_behind(operator.site)
    project, name = operator.site.project, planted.object_id

    async def states() -> list[tuple[str, int]]:
        return [(one["state"], one["behind"]) for one in (await operator.json("sidecars", project))["sidecars"]]

    async def stands(*expected: tuple[str, int]) -> bool:
        return await states() == list(expected)

    await eventually(lambda: stands(("behind", 1)))
    found = await operator.explain(planted)
    assert (found["features"][0]["allowed"], found["relay"]["state"]) == (True, "stuck")
    assert [(one["instance"], one["lacks_document"]) for one in found["sidecars"]["list"]] == [(name, True)]
    told = (await operator.run("explain", planted.user, project, planted.feature)).stdout
    assert f"{name} may answer otherwise: its copy is from before this user's document" in told
    assert f"billing relay release {project}" in told
    refused = await operator.run("relay", "release", project)
    assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
    done = await operator.run("relay", "release", project, "--yes", *REASON)
    assert done.exit_code == 0, done.output
    await eventually(lambda: stands(("in_step", 0)))
    await operator.sees_it_mended(planted)
    assert (await operator.run("verify", project)).exit_code == 0
    held = await operator.run("relay", "release", project, "--yes")
    assert (held.exit_code, "renews its lease" in held.stderr) == (1, True)


async def _told_in_short(operator: Operator) -> None:
    """Without a feature all of them; at a time before all that nothing was held; what makes no sense is refused."""
    project, ends = operator.site.project, ("--cancel", "sub_1", "--refund", "cs_1")
    short = (await operator.run("explain", "ray", project)).stdout
    assert [line.split()[:2] for line in short.splitlines() if line.startswith("themes")] == [["themes", "yes"]]
    plan = (await operator.run("explain", "uma", project, operator.site.plan_feature)).stdout
    assert ("active since" in plan, "invoice in_" in plan) == (True, True)
    given = (await operator.run("explain", "eve", project, operator.site.bought_feature)).stdout
    assert "reason: a week to try it" in given
    past = (await operator.run("explain", "ray", project, "themes", "--at", "2020-01-01T00:00:00Z")).stdout
    assert "note: no change of this user's is kept from then or before" in past
    assert (await operator.run("explain", "ray", "none")).exit_code == 1
    for words in (("explain", "ray", project, "a b"), ("preview", "ray", project), ("preview", "ray", project, *ends)):
        assert (await operator.run(*words)).exit_code == 2


async def test_what_a_customer_lacks_is_found_and_mended_by_command(operator: Operator) -> None:
    """Explain names the cause and the object that it lies with, a command mends it, writer and sidecar say yes."""
    await _subscription_without_user(operator)
    await _parked_event(operator)
    await _expired_grant(operator)
    await _refunded_purchase(operator)
    await _told_in_short(operator)


async def test_what_the_service_lacks_is_found_and_mended_by_command(operator: Operator) -> None:
    """The same of a catalogue that lost a feature, and of a sidecar that is behind."""
    await _feature_removed(operator)
    await _sidecar_behind(operator)
    # All of that is the same where `billing` is a process of its own, without a terminal.
    words = ("explain", "cleo", operator.site.project, operator.site.plan_feature)
    argv = [sys.executable, "-c", "from writer.cli import main; main()", *words]
    done = await asyncio.to_thread(
        subprocess.run, argv, cwd=ROOT, env=dict(operator.environment), capture_output=True, text=True, timeout=50,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, "export: allowed (granted)" in done.stdout) == (0, True), done.stderr
