"""The recipes of the documentation, to be run as they stand there."""

import re
from pathlib import Path
from typing import Final

RECIPES: Final = Path(__file__).resolve().parents[2] / "docs" / "recipes"


def block(recipe: str, language: str) -> str:
    """The only fenced block of a language in a recipe."""
    text = (RECIPES / recipe).read_text(encoding="utf-8")
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(code)
