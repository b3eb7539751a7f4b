"""What a container may not do, asked of the engine and tried inside."""

import time
from typing import Any, Final

from tests.docker_smoke.engine import PROJECT, Engine, EngineError
from tests.docker_smoke.table import Row

SET_ID: Final = "find / -xdev -perm /6000 -type f 2>/dev/null | head"
COMPILERS: Final = "command -v gcc cc g++ clang make || true"


def contained(engine: Engine, service: str, row: Row) -> None:
    """No root, a root file system that cannot be written, no rights to gain, a limit, rotated logs."""
    found = engine.inspect(service)
    host, user = found["HostConfig"], engine.must(f"docker exec {found['Id']} id -u")
    wrong = [
        what
        for what, right in {
            "runs as root": user != "0",
            "root file system may be written": host["ReadonlyRootfs"],
            "capabilities stay": host["CapDrop"] == ["ALL"] and not host["CapAdd"],
            "rights may be gained": "no-new-privileges:true" in host["SecurityOpt"],
            "no memory limit": host["Memory"] > 0,
            "no limit of processes": (host["PidsLimit"] or 0) > 0,
            "logs grow": host["LogConfig"]["Config"].get("max-size") == "10m",
            "not healthy": found["State"].get("Health", {}).get("Status") == "healthy",
            "published beyond this machine": _loopback_alone(found),
        }.items()
        if not right
    ]
    if not engine.shell(f"docker exec {found['Id']} sh -c 'echo x >/usr/written'").status:
        wrong.append("wrote to /usr")
    if wrong:
        row.fail("; ".join(wrong))
    row.note = f"user {user}, {host['Memory'] // 2**20} MiB at most, read-only"


def ours(engine: Engine, service: str, row: Row) -> None:
    """An image of ours brings no compiler and no set-id program, and has its temporary folder and labels."""
    found = engine.inspect(service)
    inside = f"docker exec {found['Id']} sh -c"
    if text := engine.must(f'{inside} "{SET_ID}"'):
        raise EngineError(f"set-id programs: {text}")
    if text := engine.must(f'{inside} "{COMPILERS}"'):
        raise EngineError(f"compilers: {text}")
    engine.must(f'{inside} "echo x >/tmp/written && rm /tmp/written"')
    labels = found["Config"]["Labels"]
    missing = [name for name in ("title", "version", "revision", "base.name") if not _label(labels, name)]
    if missing:
        row.fail(f"labels are missing: {', '.join(missing)}")
    row.note = f"version {_label(labels, 'version')} on {_label(labels, 'base.name')}"


def ends(engine: Engine, service: str, row: Row) -> None:
    """SIGTERM, or the image's own signal, ends it in order and before its grace is over."""
    found = engine.inspect(service)
    seconds = engine.shell(f"docker compose --profile '*' stop {service}").seconds
    state = engine.inspect(service)["State"]
    if state["ExitCode"] != 0 or state["OOMKilled"]:
        row.fail(f"ended with status {state['ExitCode']}")
    row.note = f"after {seconds:.1f} s; {found['Config'].get('StopTimeout')} s are given"


def alone(engine: Engine, image: str, row: Row) -> None:
    """Without Compose and its init, as on Kubernetes: the program is process 1, and either signal ends it in order."""
    run = f"docker run --detach --label com.docker.compose.project={PROJECT} --network none --read-only --tmpfs /tmp"
    variables = " ".join(f"--env {name}={value}" for name, value in _NOWHERE[image].items())
    times = []
    for number in ("TERM", "INT"):
        name = engine.must(f"{run} {variables} billing-{image}:local")
        try:
            engine.must(f"timeout 30 sh -c 'until docker logs {name} 2>&1 | grep -q listening; do sleep 0.2; done'")
            began = time.monotonic()
            status = engine.must(f"docker kill --signal {number} {name} >/dev/null && timeout 40 docker wait {name}")
            times.append(time.monotonic() - began)
        finally:
            engine.must(f"docker rm --force {name}")
        if status != "0":
            row.fail(f"ended with status {status} after SIG{number}")
    row.note = f"after SIGTERM in {times[0]:.1f} s, after SIGINT in {times[1]:.1f} s"


# Nothing of this is reached: both start all the same.
_NOWHERE: Final = {
    "writer": {
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "STRIPE_SECRET_KEY": "sk_test_smoke",
        "STRIPE_WEBHOOK_SECRET": "whsec_smoke",
        "ADMIN_API_KEY": "smoke",
    },
    "sidecar": {"SIDECAR_PROJECT": "shop", "REDIS_URL": "redis://127.0.0.1:1/0"},
}


def _loopback_alone(found: dict[str, Any]) -> bool:
    bound = [one for each in (found["HostConfig"]["PortBindings"] or {}).values() for one in each]
    return all(one["HostIp"] == "127.0.0.1" for one in bound)


def _label(labels: dict[str, str], name: str) -> str:
    return labels.get(f"org.opencontainers.image.{name}", "")
