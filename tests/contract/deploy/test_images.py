"""The Dockerfile: nothing that it must not do stands in it. What it makes is proven by `make docker-smoke`."""

import re
import tomllib
from typing import Final

from tests.contract.deploy.compose import ROOT

TEXT: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
CODE: Final = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))
STAGES: Final = {
    match[2]: match[3]
    for match in re.finditer(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", CODE, re.MULTILINE | re.DOTALL)
}
SHIPPED: Final = ("sidecar", "writer", "sandbox")


def test_the_images_are_there() -> None:
    """One for each part, after what they are made from."""
    assert [name for name in STAGES if name in SHIPPED] == list(SHIPPED)


def test_each_ends_as_a_user_with_a_command_and_a_signal() -> None:
    """Not root, no shell around the program, so that signals arrive."""
    for name in SHIPPED:
        assert re.findall(r"^USER (\S+)$", STAGES[name], re.MULTILINE)[-1] == "10001:10001", name
        assert re.search(r'^CMD \["python", "-m", "\w+', STAGES[name], re.MULTILINE), name
        assert "HEALTHCHECK" in STAGES[name], name
    assert "STOPSIGNAL SIGTERM" in STAGES["runtime"]


def test_a_compiler_is_in_the_build_alone() -> None:
    """No later stage installs one, and none is made from the build's."""
    for name in ("runtime", *SHIPPED):
        assert not re.search(r"\b(gcc|build-essential|python3-dev|libc6-dev)\b", STAGES[name]), name
    bases = {stage: base for base, stage in re.findall(r"^FROM (\S+) AS (\S+)$", CODE, re.MULTILINE)}
    assert bases["runtime"] == "${BASE_IMAGE}"
    assert {bases["sidecar"], bases["writer"]} == {"runtime"}


def test_nothing_secret_can_stay_in_an_image() -> None:
    """No argument or variable for an index, no password; an index belongs to `make wheels`, outside the build."""
    assert not re.search(r"(ARG|ENV)\s+\S*(INDEX|TOKEN|PASSWORD|SECRET|KEY)", CODE)
    assert "COPY . " not in CODE
    assert "--require-hashes" in (ROOT / "deploy/images/locked-venv.sh").read_text(encoding="utf-8")


def test_both_builders_read_it() -> None:
    """The classic builder knows neither mounts nor heredocs nor COPY's newer options."""
    assert not re.search(r"--mount|<<|COPY --(link|chmod|parents|exclude)|--start-interval|--platform", CODE)


def test_the_sidecar_holds_no_more_than_its_part() -> None:
    """No writer, migrations or sandbox."""
    moved = re.search(r"cp --archive (.*?) /images/sidecar", CODE)
    assert moved is not None
    assert set(moved[1].split()) == {"billing_service-*.dist-info", "common", "sidecar"}


def test_the_version_is_the_projects() -> None:
    """The label says what `pyproject.toml` does."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert set(re.findall(r"^ARG VERSION=(\S+)$", CODE, re.MULTILINE)) == {version}


def test_the_context_is_a_list_of_what_is_let_in() -> None:
    """Everything is left out but what the Dockerfile copies: no `.env`, no history, no local data."""
    lines = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line]
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {line.removeprefix("!") for line in rules if line.startswith("!")}
    copied = set(re.findall(r"\S+", " ".join(re.findall(r"^COPY (?!--from)(.*) \S+$", CODE, re.MULTILINE))))
    assert copied == let_in
