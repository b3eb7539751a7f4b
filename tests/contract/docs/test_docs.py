"""The documents name what the code has: settings, routes, commands, and files that exist."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, cast

import click
import pytest
from aiohttp import web

from common.clock import SystemClock
from common.settings import SettingsError
from sidecar.api import Api
from sidecar.forward_auth import ForwardAuth
from sidecar.management import Management
from sidecar.metrics import Metrics
from sidecar.ofrep import Ofrep
from sidecar.settings import Settings as SidecarSettings
from sidecar.shadow import Shadow
from sidecar.streams import StreamLimits, Streams
from writer import app as writer_app
from writer import settings as writer_settings
from writer.cli import main
from writer.domain.stripe.kinds import KIND_OF_TYPE
from writer.gateway.transport import API_VERSION
from writer.takeover import stripe_checks

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
ANCHORED = re.compile(r"\]\((?!https?://)([^)\s#]*)#([^)\s]+)\)")
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)\s#]+)(?:#[^)\s]*)?\)")


class _Recorder(dict[str, str]):
    """An environment that keeps the names of what was asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def _settings() -> set[str]:
    writer, sidecar = _Recorder({}), _Recorder({"SIDECAR_PROJECT": "shop", "WRITER_URL": "http://writer:8000"})
    with suppress(SettingsError):
        writer_settings.read(writer)
    with suppress(SettingsError):
        writer_settings.read_backup(writer)
    with suppress(SettingsError):
        SidecarSettings.from_mapping(sidecar)
    return writer.asked | sidecar.asked


def _routes_of(app: web.Application) -> Iterator[tuple[str, str]]:
    for route in app.router.routes():
        assert route.resource is not None
        if route.method != "HEAD":
            yield "ANY" if route.method == "*" else route.method, route.resource.canonical


def _sidecar_routes() -> set[tuple[str, str]]:
    metrics = Metrics()
    shadow = Shadow(SystemClock())
    api = Api(cast("Any", None), metrics.checks, shadow).application()
    ForwardAuth(cast("Any", None), metrics.checks, "X-User-Id").add_routes(api)
    Ofrep(cast("Any", None), metrics).add_routes(api)
    Streams(cast("Any", None), StreamLimits(), metrics, SystemClock(), Random(0)).add_routes(api)
    management = Management({}, metrics, shadow, SystemClock(), "sidecar").application()
    return {*_routes_of(api), *_routes_of(management)}


async def _writer_routes(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    found: list[web.Application] = []

    def listening(app: web.Application, _: object) -> None:
        found.append(app)
        raise _BuiltError

    monkeypatch.setattr(writer_app, "listening", listening)
    # Nothing of this is reached: the application is complete before it listens.
    environment = {
        "DATABASE_URL": "postgresql://127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "STRIPE_SECRET_KEY": "sk_test_docs",
        "STRIPE_WEBHOOK_SECRET": "whsec_docs",
        "ADMIN_API_KEY": "docs",
    }
    with pytest.raises(_BuiltError):
        async with writer_app.running(writer_settings.read(environment)):
            pass
    return set(_routes_of(found[0]))


class _BuiltError(Exception):
    """The application was built."""


def _commands(group: click.Group, above: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{above} {name}")
        else:
            yield f"{above} {name}"


def _routes_and_codes() -> str:
    """What programs may ask stands in api.md, the console's pages in a file of their own."""
    return "".join((DOCS / name).read_text(encoding="utf-8") for name in ("api.md", "console.md"))


def _unnamed(routes: set[tuple[str, str]]) -> list[str]:
    text = _routes_and_codes()
    named = {f"{method} {path}" for method, path in re.findall(r"`(ANY|GET|POST|PUT|PATCH|DELETE) (/[^`?\s]*)", text)}
    return sorted({f"{method} {path}" for method, path in routes} - named)


def test_every_setting_is_documented() -> None:
    """What writer and sidecar read from the environment stands in settings.md."""
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert [name for name in sorted(_settings()) if f"`{name}`" not in text] == []


def test_every_documented_setting_is_read() -> None:
    """settings.md names nothing that was taken away."""
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]+)`", text, re.MULTILINE)
    assert rows
    assert sorted(set(rows) - _settings()) == []


async def test_every_route_of_the_writer_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each method and path that the writer serves stands in api.md or console.md."""
    assert _unnamed(await _writer_routes(monkeypatch)) == []


def test_every_route_of_the_sidecar_is_documented() -> None:
    """Each method and path of both ports stands in api.md."""
    assert _unnamed(_sidecar_routes()) == []


def test_every_error_code_is_documented() -> None:
    """A code that a caller can be answered stands in api.md or console.md."""
    sources = [*(ROOT / "writer").rglob("*.py"), *(ROOT / "sidecar").rglob("*.py"), *(ROOT / "common").rglob("*.py")]
    raised = re.compile(
        r"(?:bad_request|_refusal|InvalidError|UnknownError|ConflictError)\(\s*\"([a-z_]+)\""
        r"|(?:Problem|_problem)\(\s*(?:HTTPStatus\.\w+|status),\s*\"([a-z_]+)\""
    )
    codes = {a or b for path in sources for a, b in raised.findall(path.read_text(encoding="utf-8"))}
    text = _routes_and_codes()
    assert len(codes) > 40
    assert [code for code in sorted(codes) if f"`{code}`" not in text] == []


def test_every_command_is_documented() -> None:
    """Each subcommand of `billing` stands in commands.md."""
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert [name for name in _commands(main, "billing") if name not in text] == []


def test_stripes_events_are_those_of_the_code() -> None:
    """stripe-setup.md names for the endpoint what is applied, no more, and the version that is asked for."""
    text = (DOCS / "stripe-setup.md").read_text(encoding="utf-8")
    section = text.partition("## The webhook endpoint")[2].partition("\n## ")[0]
    named = re.findall(r"`((?:customer|invoice|checkout|charge|refund|product|price)\.[a-z_.]+)`", section)
    assert sorted(named) == sorted(KIND_OF_TYPE)
    assert f"`{API_VERSION}`" in section


def test_stripes_rights_are_those_that_are_examined() -> None:
    """stripe-setup.md names each right that `billing stripe doctor` asks for."""
    text = (DOCS / "stripe-setup.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([A-Z][A-Za-z ]+) \| (Read|Write) \|", text, re.MULTILINE))
    written = {name for name, _, _, only in stripe_checks._WRITES if only is None}
    read = {name for name, _ in stripe_checks._READS} | {name for name, _, _, _ in stripe_checks._WRITES}
    assert {name for name, right in rows.items() if right == "Write"} == written
    assert set(rows) == read | {"Entitlements"}


PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
by_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


@by_page
def test_every_link_leads_to_a_file(path: Path) -> None:
    """A relative link names a file or folder that exists."""
    targets = LINK.findall(path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


@by_page
def test_every_link_leads_to_a_heading(path: Path) -> None:
    """What stands behind a # is a heading of that page."""
    for target, anchor in ANCHORED.findall(path.read_text(encoding="utf-8")):
        page = path.parent / target if target else path
        if page.suffix == ".md" and page.exists():
            assert anchor in _anchors(page), f"{target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings: small letters, no marks, hyphens; -1 and so on for what comes again."""
    found: set[str] = set()
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(next(one for one in (anchor, *(f"{anchor}-{number}" for number in range(1, 20))) if one not in found))
    return found
