"""The page between a wish and an act: what it would do, and once more the question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from writer.console.forms import Form
from writer.console.pages import Pages
from writer.operations.preview import Foreseen


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked. `action` and `back` are paths within the console; `values` go along with the form."""

    title: str
    effect: Sequence[str]
    button: str
    action: str
    back: str
    values: Mapping[str, str | None] = field(default_factory=dict)
    foreseen: Foreseen | None = None
    """How a user's answers would change."""
    choices: Sequence[tuple[str, str, Sequence[tuple[str, str]]]] = ()
    """Further fields: name, label, and the values with what they say."""
    reason: str = "none"
    """Whether a reason is asked for: `none`, `optional`, `required`."""
    takes_away: bool = True


def is_confirmed(form: Form) -> bool:
    """Whether the form comes from such a page."""
    return form.get("confirmed") == "yes"


def ask(pages: Pages, request: web.Request, question: Ask, form: Form | None = None) -> web.Response:
    """The page; `form` is what was sent and refused."""
    shown = Form() if form is None else form
    return pages.render(request, "confirm.html", shown.status, ask=question, form=shown)
