"""`python -m tests.docker_smoke`: the images and docker-compose.yml on a real engine, and the operations guide in it.

Builds, runs every command of tests/guide/commands.yaml, plays the demo's beginning through the profile `sandbox`, looks
at what the containers may not do, ends them, and removes every container, network and volume that it made.
"""

import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import click

from tests.docker_smoke import containment, images, monitoring, story
from tests.docker_smoke.clone import clone
from tests.docker_smoke.commands import load, run_all
from tests.docker_smoke.engine import PROJECT, Engine, EngineError, plugin, reachable
from tests.docker_smoke.table import Table

PORTS: Final = (6379, 7070, 7071, 7072, 8000, 8001, 8090, 9090, 12111)
SERVERS: Final = ("postgres", "redis")
SANDBOX: Final = ("sandbox-stripe", "sandbox-writer", "sandbox-notes", "sandbox-studio", "toy")
UP_S: Final = 300.0


def _smoke(engine: Engine, table: Table, source: str) -> None:
    with table.row("images to begin with") as row:
        if source == "local" or (source == "auto" and not images.official(engine)):
            images.local(engine)
        row.note = engine.variables.get("BASE_IMAGE", "official")
    if table.failed:
        raise EngineError("the rest was not tried: there are no images to begin with")
    run_all(engine, table, load())
    for service in ("app", *SERVERS):
        with table.row(f"contained: {service}") as row:
            containment.contained(engine, service, row)
    _sidecar(engine, table)
    with table.row("backup: made and verified") as row:
        story.backs_up(engine, row)
    with table.row("contained: backup") as row:
        containment.contained(engine, "backup", row)
    _sandbox(engine, table)
    monitoring.look(engine, table)
    _ends(engine, table)
    _survives(engine, table)
    with table.row("sizes of the images") as row:
        row.note = images.sizes(engine)


def _sidecar(engine: Engine, table: Table) -> None:
    with table.row("sidecar: a grant is allowed") as row:
        story.answers(engine, row)
    with table.row("contained: sidecar") as row:
        containment.contained(engine, "sidecar", row)
    for service in ("app", "sidecar"):
        with table.row(f"image: {service}") as row:
            containment.ours(engine, service, row)
    for image in ("writer", "sidecar"):
        with table.row(f"signals: {image} alone") as row:
            containment.alone(engine, image, row)


def _sandbox(engine: Engine, table: Table) -> None:
    with table.row("sandbox: build"):
        engine.must("docker compose --profile sandbox build", images.BUILD_S)
    with table.row("sandbox: up"):
        engine.must("docker compose --profile sandbox up --detach --wait", UP_S)
    with table.row("sandbox: pay and cancel") as row:
        story.pays_and_cancels(engine, row)
    for service in SANDBOX:
        with table.row(f"contained: {service}") as row:
            containment.contained(engine, service, row)


def _ends(engine: Engine, table: Table) -> None:
    # What asks ends before what is asked, but for the toy app, whose questions wait at its sidecars.
    for service in ("backup", "sidecar", "toy", "sandbox-notes", "sandbox-writer", "sandbox-stripe", "app", *SERVERS):
        with table.row(f"ends in order: {service}") as row:
            containment.ends(engine, service, row)


def _survives(engine: Engine, table: Table) -> None:
    with table.row("volumes survive down and up"):
        engine.must("docker compose --profile '*' down")
        engine.must("docker compose up --detach --wait app", UP_S)
        listed = engine.must("docker compose exec -T app billing grant list --project project_456 --user user_123")
        assert "before the backup" in listed, listed


@contextmanager
def _removed(engine: Engine, table: Table, *, keep: bool) -> Iterator[None]:
    """Whatever happened, nothing of ours stays on the engine but images."""
    try:
        yield
    finally:
        if not keep:
            with table.row("nothing is left") as row:
                engine.must("docker compose --profile '*' down --volumes --remove-orphans", UP_S)
                mine = f"--filter label=com.docker.compose.project={PROJECT} --quiet"
                left = engine.must(f"docker ps --all {mine}; docker volume ls {mine}; docker network ls {mine}")
                if left:
                    row.fail("containers, volumes or networks are left", left)


def _taken() -> list[int]:
    taken = []
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                taken.append(port)
    return taken


@click.command()
@click.option(
    "--images", "source", type=click.Choice(["auto", "official", "local"]), default="auto", show_default=True,
    help="The official ones, or ones made here of Debian's packages; auto: these where those cannot be pulled.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Leave everything running, to look at it.")
def main(source: str, *, keep: bool) -> None:
    """Prove the images, docker-compose.yml and the operations guide on a real engine."""
    if why := reachable():
        sys.exit(f"docker-smoke: {why}")
    if taken := _taken():
        sys.exit(f"docker-smoke: something listens on 127.0.0.1 already, ports {', '.join(map(str, taken))}")
    table = Table()
    folder = Path(tempfile.mkdtemp(prefix="docker-smoke-"))
    try:
        with tempfile.TemporaryDirectory(prefix="docker-smoke-plugin-") as plugins:
            clone(folder)
            engine = Engine(folder, plugin(Path(plugins)))
            with _removed(engine, table, keep=keep):
                _smoke(engine, table, source)
    except (EngineError, aiohttp.ClientError) as error:
        sys.exit(f"docker-smoke: {error}")
    finally:
        table.show()
    if table.failed or keep:
        click.echo(f"the clone that it ran in: {folder}")
    else:
        shutil.rmtree(folder)
    sys.exit(1 if table.failed else 0)


if __name__ == "__main__":
    main()
