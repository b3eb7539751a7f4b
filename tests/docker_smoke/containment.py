"""What a container may not do, asked of the engine and tried inside."""

from typing import Any, Final

from tests.docker_smoke.engine import Engine, EngineError
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


def _loopback_alone(found: dict[str, Any]) -> bool:
    bound = [one for each in (found["HostConfig"]["PortBindings"] or {}).values() for one in each]
    return all(one["HostIp"] == "127.0.0.1" for one in bound)


def _label(labels: dict[str, str], name: str) -> str:
    return labels.get(f"org.opencontainers.image.{name}", "")
