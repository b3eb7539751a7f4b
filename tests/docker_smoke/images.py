"""Where the images come from: the official ones, or, where none can be pulled, ones of Debian's packages."""

import sys
from typing import Final

from tests.docker_smoke.engine import Engine

BASE: Final = "billing-smoke/base:local"
SERVERS: Final = ("postgres", "redis", "prometheus")
POSTGRES_MAJOR: Final = "15"
PULL_S: Final = 300.0
BUILD_S: Final = 900.0


def official(engine: Engine) -> bool:
    """Pull what docker-compose.yml names; False where it cannot be had."""
    pulled = engine.shell("docker compose --profile monitoring pull --quiet postgres redis prometheus", PULL_S)
    return pulled.status == 0


def local(engine: Engine) -> None:
    """Make a base of this machine's Debian, and the servers on it, and let Compose take them."""
    here = "tests/docker_smoke"
    if engine.shell(f"docker image inspect {BASE}").status:
        engine.must(f"sh {here}/base.sh {BASE}", BUILD_S)
    engine.variables |= {
        "BASE_IMAGE": BASE,
        "POSTGRES_MAJOR": POSTGRES_MAJOR,
        # Such an engine may have no way out for containers, and no BuildKit.
        "BUILD_NETWORK": "host",
        "DOCKER_BUILDKIT": "0",
        **{f"{name.upper()}_IMAGE": f"billing-smoke/{name}:local" for name in SERVERS},
    }
    options = f"--network host --build-arg BASE_IMAGE={BASE} --build-arg POSTGRES_MAJOR={POSTGRES_MAJOR}"
    for name in SERVERS:
        engine.must(f"docker build {options} --tag billing-smoke/{name}:local {here}/servers/{name}", BUILD_S)
    if not list((engine.folder / "deploy" / "wheels").glob("*.whl")):
        asked = "import sys; print(*sys.version_info[:2], sep=chr(46))"
        version = engine.must(f"docker run --rm --network none {BASE} python3 -c '{asked}'")
        engine.must(f"sh deploy/images/wheels.sh {sys.executable} {version}", BUILD_S)


def sizes(engine: Engine) -> str:
    """The sizes of our images, in MB."""
    names = ("writer", "sidecar", "sandbox")
    lines = [engine.must(f"docker image inspect --format '{{{{.Size}}}}' billing-{name}:local") for name in names]
    return ", ".join(f"{name} {int(line) / 1e6:.0f} MB" for name, line in zip(names, lines, strict=True))
