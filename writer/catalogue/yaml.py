"""catalog.yaml: the catalogue of one or more projects, as people write it and keep it under version control."""

from collections.abc import Hashable, Mapping
from typing import Any, Final

import yaml

from common.identifiers import IdentifierError, ProjectId, project_id
from writer.catalogue.declared import ProjectCatalog
from writer.catalogue.parse import Faults, join, project_catalog

FORMAT: Final = 1
MAX_FILE_BYTES: Final = 1024 * 1024


class CatalogFileError(Exception):
    """The file is not taken; `faults` has a line for each thing that is wrong, with its path."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def load(text: str) -> dict[ProjectId, ProjectCatalog]:
    """Read the file's text; CatalogFileError holds every fault."""
    faults = Faults()
    parts = faults.mapping("", _parse(text), ("version", "projects"))
    version = parts.get("version")
    if type(version) is not int or version != FORMAT:
        faults.add("version", f"must be {FORMAT}")
    projects = {}
    if "projects" not in parts:
        faults.add("projects", "is missing")
    for name, row in faults.mapping("projects", parts.get("projects")).items():
        path = join("projects", name)
        try:
            projects[project_id(name)] = project_catalog(row, path, faults)
        except IdentifierError as error:
            faults.add(path, str(error))
    if faults.lines:
        raise CatalogFileError(faults.lines)
    return projects


def load_project(text: str, name: ProjectId) -> ProjectCatalog:
    """One project's part alone (`features`, `plans`), or a file with that project only; CatalogFileError as `load`."""
    parts = _parse(text)
    if "projects" in parts:
        loaded = load(text)
        if set(loaded) != {name}:
            raise CatalogFileError([f"projects: must hold {name} and no other project"])
        return loaded[name]
    faults = Faults()
    declared = project_catalog(parts, "", faults)
    if faults.lines:
        raise CatalogFileError(faults.lines)
    return declared


def dump(parts: Mapping[str, Any]) -> str:
    """What `load` and `load_project` read, as people write it."""
    return str(yaml.safe_dump(dict(parts), sort_keys=False, allow_unicode=True))


class _Loader(yaml.SafeLoader):
    """Plain data only: a key twice is a fault instead of a silent loss, and nothing is repeated by reference."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "anchors and aliases are not read; write it out", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable) or key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is there twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parse(text: str) -> Mapping[str, Any]:
    if len(text.encode("utf-8", "replace")) > MAX_FILE_BYTES:
        raise CatalogFileError([f"catalog: the file may have {MAX_FILE_BYTES} bytes"])
    try:
        parsed = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise CatalogFileError([f"catalog: {place}{error.problem}"]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CatalogFileError([f"catalog: is no YAML: {str(error).splitlines()[0]}"]) from error
    if not isinstance(parsed, dict):
        raise CatalogFileError(["catalog: must be a mapping"])
    return parsed
