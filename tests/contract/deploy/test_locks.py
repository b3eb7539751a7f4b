"""The images' lock files: versions as tested, no index named, and for a sidecar only what it imports."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from typing import Final

import pytest

from tests.contract.deploy.compose import ROOT

OWN: Final = {"common", "sidecar"}
PIN: Final = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,]+\])?==([^\s;\\]+)", re.MULTILINE)
IMAGES: Final = ("build", "sidecar", "writer")
NEEDLESS: Final = {
    "sqlalchemy",
    "alembic",
    "asyncpg",
    "psycopg",
    "psycopg-binary",
    "stripe",
    "jinja2",
    "click",
    "pyyaml",
}


def _lock(name: str) -> dict[str, str]:
    text = (ROOT / f"requirements{name and '-'}{name}.lock").read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    pins = PIN.findall(text)
    assert text.count("--hash=sha256:") >= len(pins)
    return dict(pins)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_gets_what_was_tested(name: str) -> None:
    """Each package of an image's lock stands in requirements.lock with the same version. `make lock` mends it."""
    tested = _lock("")
    assert {package: version for package, version in _lock(name).items() if tested.get(package) != version} == {}


def _declared() -> tuple[set[str], dict[str, set[str]]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = {name: set(group) for name, group in project["dependency-groups"].items()}
    return set(project["project"]["dependencies"]), groups


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None
    return match[0].lower()


def test_the_groups_repeat_what_the_project_declares() -> None:
    """The sidecar's bounds are the project's own, and the build's are those of the build system."""
    dependencies, groups = _declared()
    assert groups["sidecar"] - dependencies == set()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert groups["build"] == set(project["build-system"]["requires"])


def test_each_lock_holds_what_is_declared() -> None:
    """A dependency that was added reaches the images with the next `make lock`."""
    dependencies, groups = _declared()
    for name, wanted in (("writer", dependencies), *groups.items()):
        assert {_name(one) for one in wanted} - _lock(name).keys() == set(), name


def _imported() -> Iterator[tuple[str, str]]:
    """Each package that some module of the sidecar's image imports, and where; also inside functions."""
    for path in sorted(path for name in OWN for path in (ROOT / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            for name in names:
                yield name.partition(".")[0], str(path.relative_to(ROOT))


def test_the_sidecar_imports_nothing_beyond_its_lock() -> None:
    """What any of its modules imports, even inside a function, is in its image."""
    packages, held = packages_distributions(), {name.replace("_", "-") for name in _lock("sidecar")}
    beyond = {
        f"{path} imports {name}"
        for name, path in _imported()
        if name not in sys.stdlib_module_names | OWN
        and not any(one.lower().replace("_", "-") in held for one in packages.get(name, [name]))
    }
    assert sorted(beyond) == []


def test_the_sidecar_has_nothing_of_the_writers() -> None:
    """It is beside every app: nothing that only the writer needs."""
    assert _lock("sidecar").keys() & NEEDLESS == set()


_WITHOUT_THE_REST = """
import sys

held = set(sys.argv[1].split(","))

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in held:
            raise ImportError(f"{name} is not in the sidecar's image")

sys.meta_path.insert(0, Nothing())
import sidecar.__main__, sidecar.bulk, common.probe
from common import lean
lean.let_in()
import common.otel
"""


def test_the_sidecar_starts_without_the_rest() -> None:
    """Its modules load where every package beyond its lock, and the writer's code, cannot be imported."""
    held = {name.replace("_", "-") for name in _lock("sidecar")}
    rest = {
        name
        for name, owners in packages_distributions().items()
        if not any(one.lower().replace("_", "-") in held for one in owners) and name not in OWN
    }
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_THE_REST, ",".join(sorted(rest))],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
