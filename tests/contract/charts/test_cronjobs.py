"""What is done every day: backups into a volume, and the comparison with Stripe where it is not the writer's."""

from tests.contract.charts.conftest import Refuse, Render
from tests.contract.charts.environment import environment
from tests.contract.charts.rendering import Manifest, Rendering
from writer import settings as writer_settings
from writer.cli import main

_FOLDER = "/var/lib/billing-backups"


def _pod(rendering: Rendering, name: str) -> Manifest:
    spec: Manifest = rendering.one("CronJob", f"-{name}")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def _container(rendering: Rendering, name: str) -> Manifest:
    [container] = _pod(rendering, name)["containers"]
    found: Manifest = container
    return found


def test_backups_are_kept_for_thirty_days(writer: Render) -> None:
    """Made every day, checked, and kept for as long as the values say."""
    rendering = writer(backup={"enabled": True})
    command = _container(rendering, "backup")["command"]
    assert command == ["billing", "backup", "--directory", _FOLDER, "--keep-days", "30", "--verify"]
    other = _container(writer(backup={"enabled": True, "keepDays": 7, "verify": False}), "backup")["command"]
    assert other == ["billing", "backup", "--directory", _FOLDER, "--keep-days", "7"]


def test_backups_go_into_a_volume_that_stays(writer: Render) -> None:
    """The claim outlives the release, and is mounted where the command writes, with ids that may write there."""
    rendering = writer(backup={"enabled": True})
    claim = rendering.one("PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}}
    volumes = {each["name"]: each for each in _pod(rendering, "backup")["volumes"]}
    assert volumes["backups"]["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
    mounts = {each["name"]: each["mountPath"] for each in _container(rendering, "backup")["volumeMounts"]}
    assert mounts["backups"] == _FOLDER
    assert _pod(rendering, "backup")["securityContext"]["fsGroup"] == 10001


def test_a_claim_of_ones_own_is_taken(writer: Render) -> None:
    """None is made beside it."""
    rendering = writer(backup={"enabled": True, "persistence": {"existingClaim": "backups"}})
    assert rendering.all("PersistentVolumeClaim") == []
    volumes = {each["name"]: each for each in _pod(rendering, "backup")["volumes"]}
    assert volumes["backups"]["persistentVolumeClaim"] == {"claimName": "backups"}


def test_backups_go_past_the_pooler(writer: Render) -> None:
    """pg_dump cannot go through it, and neither its settings nor Stripe's secrets are told."""
    rendering = writer(
        backup={"enabled": True},
        settings={"DATABASE_POOLER": "transaction"},
        secrets={"directDatabaseUrl": {"key": "direct"}, "BACKUP_SCRATCH_URL": {"key": "scratch"}},
    )
    container = _container(rendering, "backup")
    references = {each["name"]: each["valueFrom"]["secretKeyRef"]["key"] for each in container["env"]}
    assert references == {"DATABASE_URL": "direct", "BACKUP_SCRATCH_URL": "scratch"}
    assert "envFrom" not in container


def test_a_restore_reads_the_backups(writer: Render) -> None:
    """As a Job by hand, once, past the pooler, the volume read-only; what was there is kept unless it is empty."""
    assert [each["metadata"]["name"] for each in writer(backup={"enabled": True}).all("Job")] == [
        "prod-billing-writer-migrate"
    ]
    rendering = writer(backup={"enabled": True}, restore={"file": "billing_db-20261129T020000Z.dump"})
    job = rendering.one("Job", "-restore")
    assert job["spec"]["backoffLimit"] == 0
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    path = f"{_FOLDER}/billing_db-20261129T020000Z.dump"
    assert container["command"] == ["billing", "restore", path, "--replace", "--yes"]
    [mount] = [each for each in container["volumeMounts"] if each["name"] == "backups"]
    assert mount == {"name": "backups", "mountPath": _FOLDER, "readOnly": True}
    assert pod["volumes"][0] == _pod(rendering, "backup")["volumes"][0]
    empty = writer(backup={"enabled": True}, restore={"file": "x.dump", "replace": False}).one("Job", "-restore")
    assert "--replace" not in empty["spec"]["template"]["spec"]["containers"][0]["command"]


def test_a_restore_needs_a_volume(refused: Refuse) -> None:
    """And a file's name, not a path out of it."""
    assert "restore.file: which volume is it on?" in refused(restore={"file": "x.dump"})
    assert "/restore/file" in refused(backup={"enabled": True}, restore={"file": "../x.dump"})


def test_the_night_is_the_jobs_then(writer: Render) -> None:
    """With the CronJob writers compare nothing by themselves; without it the writer's own hour counts."""
    rendering = writer(reconcile={"enabled": True, "full": True})
    assert rendering.one("ConfigMap")["data"]["RECONCILE_AT"] == "off"
    assert _container(rendering, "reconcile")["command"] == ["billing", "reconcile", "--full"]
    assert "RECONCILE_AT" not in writer().one("ConfigMap")["data"]
    assert writer().all("CronJob") == []


def test_both_at_once_are_refused(writer: Render, refused: Refuse) -> None:
    """The same work twice a night; `off` agrees with the Job."""
    assert "settings.RECONCILE_AT and reconcile.enabled" in refused(
        reconcile={"enabled": True}, settings={"RECONCILE_AT": "03:00"}
    )
    assert writer(reconcile={"enabled": True}, settings={"RECONCILE_AT": "off"}).all("CronJob")


def test_the_comparison_knows_what_it_needs(writer: Render) -> None:
    """Database, Stripe, and the writer's own graces: documents that it computes depend on them. No other secret."""
    rendering = writer(reconcile={"enabled": True}, settings={"PAST_DUE_GRACE": "14d"})
    container = _container(rendering, "reconcile")
    told = environment(rendering, container)
    assert writer_settings.read_operator(told).grace.past_due == 14 * 86_400
    assert writer_settings.read_stripe(told).secret_key.reveal() == "sk_test_example"
    assert {each["name"] for each in container["env"]} == {"DATABASE_URL", "STRIPE_SECRET_KEY"}


def test_commands_and_options_are_there(writer: Render) -> None:
    """What a Job calls is a command of `billing`, with options that it has."""
    rendering = writer(reconcile={"enabled": True, "full": True}, backup={"enabled": True}, restore={"file": "x.dump"})
    jobs = [pod for manifest, pod in rendering.pods() if manifest["kind"] in {"Job", "CronJob"}]
    commands = {name: options for pod in jobs for _, name, *options in [pod["spec"]["containers"][0]["command"]]}
    assert commands.keys() == {"migrate", "backup", "restore", "reconcile"}
    for name in commands.keys() & main.commands.keys():
        known = {option for parameter in main.commands[name].params for option in parameter.opts}
        assert {each for each in commands[name] if each.startswith("--")} <= known


def test_times_are_the_values(writer: Render) -> None:
    """Schedule and time zone of each."""
    own = {"enabled": True, "schedule": "30 1 * * 0", "timeZone": "Europe/Berlin"}
    for cronjob in writer(backup=own, reconcile=own).all("CronJob"):
        assert (cronjob["spec"]["schedule"], cronjob["spec"]["timeZone"]) == ("30 1 * * 0", "Europe/Berlin")
