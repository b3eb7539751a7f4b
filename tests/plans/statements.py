"""Every statement of the writer, as its code has it: found in its modules, prepared as the driver prepares it."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from sqlalchemy import TextClause

import writer
from writer.db.direct import Statement

_PARAMETER: Final = re.compile(r"(?<![:\w\\]):([a-z]\w*)")


@dataclass(frozen=True, slots=True)
class Found:
    """One statement. `name`: module and constant, such as writer.pending._CLAIM."""

    name: str
    sql: str
    """With $1, $2 in the place of parameters."""
    parameters: tuple[str, ...]
    """Their names, in that order."""


def statements() -> list[Found]:
    """All that stand in the writer's modules, whether they run with each event or once a year."""
    found: dict[str, Found] = {}
    for module in _modules():
        for name, sql in _in(module):
            found.setdefault(sql, _prepared(f"{module.__name__}.{name}", sql))
    return sorted(found.values(), key=lambda one: one.name)


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(writer.__path__, "writer."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _in(module: ModuleType) -> Iterator[tuple[str, str]]:
    for name, value in vars(module).items():
        several = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else (value,)
        for number, one in enumerate(several):
            if isinstance(one, TextClause | Statement):
                yield (name if one is value else f"{name}[{number}]"), _sql(one)


def _sql(statement: Any) -> str:
    return str(statement.sql if isinstance(statement, Statement) else statement.text)


def _prepared(name: str, sql: str) -> Found:
    numbers: dict[str, int] = {}
    numbered = _PARAMETER.sub(lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", sql)
    return Found(name, numbered.replace("\\:", ":"), tuple(numbers))
