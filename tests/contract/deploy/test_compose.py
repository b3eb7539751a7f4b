"""docker-compose.yml: the real Compose takes it with every profile, and what must not be is not."""

import re
from pathlib import Path
from typing import Any

import pytest

from sidecar.settings import Settings as SidecarSettings
from tests.contract.deploy.compose import EXAMPLE, PROFILES, ROOT, Json, compose
from tests.docker_smoke.clone import ENVIRONMENT
from writer import settings as writer_settings

TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
FOR_A_MOMENT = {"folders", "sandbox-seed"}
"""One-shot: they end before anybody could ask them whether they are well."""
MADE_HERE = {"WRITER_LISTEN", "WRITER_INSTANCE", "SIDECAR_LISTEN", "SIDECAR_MANAGEMENT_LISTEN", "SIDECAR_SNAPSHOT_DIR"}
"""Settings that Compose, not `.env`, decides: ports, names and folders of a container."""
IMAGE = re.compile(r"[a-z0-9./-]+:(local|v?\d+\.\d+(\.\d+)?(-[a-z0-9-]+)?)")


@pytest.fixture(scope="module")
def guide_env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operations guide's variables and no other."""
    path = tmp_path_factory.mktemp("guide") / ".env"
    path.write_text(ENVIRONMENT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(guide_env: Path) -> dict[str, Json]:
    """Every service of every profile, by name."""
    services: dict[str, Json] = compose(guide_env, "--profile", "*")["services"]
    return services


@pytest.mark.parametrize("profile", ["", *PROFILES])
@pytest.mark.parametrize("env", ["guide", "example"])
def test_compose_takes_it(profile: str, env: str, guide_env: Path) -> None:
    """With the guide's `.env` and with .env.example, whatever profile is asked for, without a warning."""
    chosen = ("--profile", profile) if profile else ()
    found = compose(guide_env if env == "guide" else EXAMPLE, *chosen)
    assert {"postgres", "redis", "app"} <= set(found["services"])


def test_without_a_profile_it_is_what_the_guide_knows(guide_env: Path) -> None:
    """A writer with its two servers, and the moment that gives it its folder."""
    assert set(compose(guide_env)["services"]) == {"app", "folders", "postgres", "redis"}


def _faults(name: str, service: Json) -> list[str]:
    """What is wrong with a service."""
    judged = {
        "runs as root": name == "folders" or service.get("user", "root").split(":")[0] not in {"0", "root"},
        "its root file system may be written": service.get("read_only") is True,
        "keeps capabilities": service.get("cap_drop") == ["ALL"],
        "may gain privileges": "no-new-privileges:true" in service.get("security_opt", []),
        "reaches into the host": not {"privileged", "pid", "ipc", "devices", "userns_mode"} & service.keys(),
        "is on the host's network": service.get("network_mode", "none") == "none",
        "has no limit": int(service.get("mem_limit", 0)) > 0 and service.get("pids_limit", 0) > 0,
        "has no health check": name in FOR_A_MOMENT or bool(service.get("healthcheck", {}).get("test")),
        "its logs grow without end": "max-size" in service.get("logging", {}).get("options", {}),
        "its image is not pinned": IMAGE.fullmatch(service["image"]) is not None,
        "holds the engine's socket": "docker.sock" not in str(service.get("volumes")),
    }
    return [fault for fault, right in judged.items() if not right]


def test_every_service_is_contained(whole: dict[str, Json]) -> None:
    """No root, no writing, no rights, limits, health checks, pinned images."""
    assert {name: found for name, service in whole.items() if (found := _faults(name, service))} == {}
    assert len(whole) > 10


def test_root_for_a_moment_reaches_nothing(whole: dict[str, Json]) -> None:
    """`folders` has no network, no restart, one folder, and only the right to change files' rights."""
    folders = whole["folders"]
    assert folders["network_mode"] == "none"
    assert folders["restart"] == "no"
    assert [mount["target"] for mount in folders["volumes"]] == ["/versions"]
    assert sorted(folders["cap_add"]) == ["DAC_READ_SEARCH", "FOWNER"]
    assert not folders.get("environment")
    assert [name for name, service in whole.items() if service.get("cap_add")] == ["folders"]


def test_nothing_is_published_beyond_this_machine(whole: dict[str, Json]) -> None:
    """Every port is on loopback unless WRITER_BIND says otherwise; Postgres is not published at all."""
    published = [(name, port) for name, service in whole.items() for port in service.get("ports", [])]
    assert [(name, port) for name, port in published if port.get("host_ip") != "127.0.0.1"] == []
    assert {name for name, _ in published}.isdisjoint({"postgres", "sandbox-postgres", "sandbox-redis"})
    assert ("redis", "6379") in {(name, port["published"]) for name, port in published}


def test_only_the_writer_can_be_published(guide_env: Path) -> None:
    """WRITER_BIND is for a load balancer on another machine; it opens nothing else."""
    found = compose(guide_env, "--profile", "*", variables={"WRITER_BIND": "0.0.0.0", "WRITER_PORT": "8000-8002"})
    published = [(name, port) for name, service in found["services"].items() for port in service.get("ports", [])]
    wide = [(name, port["published"]) for name, port in published if port["host_ip"] != "127.0.0.1"]
    assert wide == [("app", "8000-8002")]


def test_postgres_is_reached_by_the_writer_alone(whole: dict[str, Json]) -> None:
    """Its network leads nowhere else but to what backs it up."""
    assert sorted(name for name, service in whole.items() if "database" in (service.get("networks") or {})) == [
        "app",
        "backup",
        "postgres",
    ]


def test_no_secret_stands_in_the_file(whole: dict[str, Json]) -> None:
    """Secrets come from `.env`; the sandbox's own open nothing but the sandbox."""
    assert not re.search(r"(sk|rk|pk)_live_|billing_pass|bk_[0-9a-f]{8}", TEXT)
    named = re.compile(r"(PASSWORD|SECRET|_KEY)\b")
    for name, service in whole.items():
        for variable, value in (service.get("environment") or {}).items():
            if named.search(variable) and not name.startswith("sandbox-"):
                assert value is None or value in ENVIRONMENT, f"{name}: {variable}"
    sandbox = [service.get("environment", {}) for name, service in whole.items() if name.startswith("sandbox-")]
    words = [value for environment in sandbox for variable, value in environment.items() if named.search(variable)]
    assert words
    assert all("sandbox" in word for word in words)


class _Asked(dict[str, str]):
    """An environment that keeps the names of what was asked for."""

    def __init__(self) -> None:
        super().__init__({"SIDECAR_PROJECT": "shop", "WRITER_URL": "http://writer:8000"})
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Note the name."""
        self.names.add(name)
        return super().get(name, default)


@pytest.mark.parametrize(
    ("service", "read"), [("app", writer_settings.read), ("sidecar", SidecarSettings.from_mapping)]
)
def test_every_setting_can_be_given(service: str, read: Any, whole: dict[str, Json]) -> None:
    """What writer and sidecar read is handed on from `.env`, and stands in .env.example."""
    asked = _Asked()
    with pytest.raises(Exception, match=r"is not set|required|must"):
        read(asked)
    assert sorted(asked.names - MADE_HERE - set(whole[service]["environment"])) == []
    example = EXAMPLE.read_text(encoding="utf-8")
    assert [name for name in sorted(asked.names - MADE_HERE) if f"{name}=" not in example] == []


def test_every_variable_is_explained() -> None:
    """Each that docker-compose.yml takes stands in .env.example, once; the guide's come first."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    named = [match[1] for line in lines if (match := re.match(r"#? ?([A-Z][A-Z0-9_]+)=", line))]
    assert sorted(set(re.findall(r"\$\{([A-Z_]+)", TEXT)) - set(named)) == []
    guides = re.findall(r"^([A-Z_]+)=", ENVIRONMENT, re.MULTILINE)
    assert named[: len(guides)] == guides
    assert len(named) == len(set(named))


def test_what_is_mounted_exists(whole: dict[str, Json]) -> None:
    """Each file and folder of this repository that a service gets is there; Docker would make a folder of it."""
    sources = {
        mount["source"] for service in whole.values() for mount in service.get("volumes", []) if mount["type"] == "bind"
    }
    assert sources
    assert [path for path in sorted(sources) if not Path(path).exists()] == []
